package dashboards

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// expression is one PromQL expression, and where it stands.
type expression struct {
	where   string
	text    string // with the variables of Grafana replaced
	instant bool
}

// expressions returns all expressions of the dashboards, their variables, the rules and the
// annotations of alerts.
func expressions(t *testing.T, v values) []expression {
	t.Helper()
	var all []expression
	for _, d := range dashboards(t) {
		for _, q := range d.variableQueries() {
			all = append(all, expression{d.file + ", a variable", v.replace(q), true})
		}
		for _, p := range d.charts() {
			for _, each := range p.Targets {
				where := fmt.Sprintf("%s, panel %q, query %s", d.file, p.Title, each.RefID)
				all = append(all, expression{where, v.replace(each.Expr), each.Instant})
			}
		}
	}
	for _, r := range rules(t) {
		where := fmt.Sprintf("%s, %s%s", r.file, r.Record, r.Alert)
		all = append(all, expression{where, r.Expr, true})
		for _, q := range templateQueries(r.Annotations) {
			all = append(all, expression{where + ", an annotation", q, true})
		}
	}
	return all
}

// values replaces the variables of Grafana in an expression.
type values map[string]string

// plainValues are valid in each place in which the dashboards have variables.
func plainValues() values {
	return values{"$__rate_interval": "1m", "$__range": "1h", "$job": "meshhealth", "$service": "payments"}
}

func (v values) replace(expr string) string {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		expr = strings.ReplaceAll(expr, name, v[name])
	}
	return expr
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// variableQueries returns the selectors in the variables of a dashboard.
func (d *dashboard) variableQueries() []string {
	var all []string
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		query, _ := v.Query.(map[string]any)
		text, _ := query["query"].(string)
		m := labelValues.FindStringSubmatch(text)
		if m == nil {
			all = append(all, text) // it does not parse, so a test fails
			continue
		}
		all = append(all, fmt.Sprintf("group by (%s) (%s)", m[2], m[1]))
	}
	return all
}

// printedQuery matches a query in an annotation, such as {{ with printf "m{job=%q}" $labels.job | query }}.
var printedQuery = regexp.MustCompile(`printf "((?:[^"\\]|\\.)*)"([^|]*)\| query`)

// templateQueries returns the queries of annotations, with "x" for each label.
func templateQueries(annotations map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		for _, m := range printedQuery.FindAllStringSubmatch(annotations[name], -1) {
			text := strings.ReplaceAll(m[1], `\"`, `"`)
			all = append(all, strings.ReplaceAll(text, "%q", `"x"`))
		}
	}
	return all
}

func parse(t *testing.T, e expression) parser.Expr {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(e.text)
	if err != nil {
		t.Fatalf("%s: %v\n%s", e.where, err, e.text)
	}
	return parsed
}

// TestExpressions checks that each expression is valid, and that each metric and label in it
// exists.
func TestExpressions(t *testing.T) {
	metrics := exported(t)
	for _, r := range rules(t) {
		if r.Record != "" {
			metrics[r.Record] = recorded()
		}
	}
	for _, e := range expressions(t, plainValues()) {
		if strings.Contains(e.text, "$") && !strings.Contains(e.text, `"$1`) {
			t.Errorf("%s: a variable is not known: %s", e.where, e.text)
		}
		for _, fault := range faults(parse(t, e), metrics) {
			t.Errorf("%s: %s", e.where, fault)
		}
	}
}

// recorded returns the labels of recording rules.
func recorded() labelSet { return labelSet{"service": true} }

// labelSet has the names of the labels that a metric has.
type labelSet map[string]bool

// faults finds metrics and labels that do not exist.
func faults(e parser.Expr, metrics map[string]labelSet) []string {
	var all []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			all = append(all, selectorFaults(n, metrics)...)
		case *parser.AggregateExpr:
			all = append(all, unknown("by", n.Grouping, available(n.Expr, metrics))...)
		case *parser.BinaryExpr:
			if m := n.VectorMatching; m != nil {
				both := available(n, metrics)
				all = append(all, unknown("on", m.MatchingLabels, both)...)
				all = append(all, unknown("group_left", m.Include, both)...)
			}
		}
		return nil
	})
	return all
}

func selectorFaults(s *parser.VectorSelector, metrics map[string]labelSet) []string {
	known, ok := metrics[s.Name]
	if !ok {
		return []string{fmt.Sprintf("there is no metric %q", s.Name)}
	}
	var names []string
	for _, m := range s.LabelMatchers {
		if m.Name != model.MetricNameLabel {
			names = append(names, m.Name)
		}
		if m.Name == "state" && s.Name != "meshhealth_target_breakers" {
			names = append(names, stateFaults(m)...)
		}
	}
	return unknown(s.Name, names, withTarget(known))
}

// stateFaults returns the matcher if it matches none of the statuses.
func stateFaults(m *labels.Matcher) []string {
	if slices.ContainsFunc(statusNames(), m.Matches) {
		return nil
	}
	return []string{m.String()}
}

// available returns the labels that the vectors in an expression may have.
func available(e parser.Node, metrics map[string]labelSet) labelSet {
	all := withTarget(nil)
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			maps.Copy(all, metrics[n.Name])
		case *parser.Call:
			if name := n.Func.Name; name == "label_replace" || name == "label_join" {
				all[text(n.Args[1])] = true
			}
		case *parser.AggregateExpr:
			if n.Op == parser.COUNT_VALUES {
				all[text(n.Param)] = true
			}
		}
		return nil
	})
	return all
}

func text(e parser.Expr) string { return e.(*parser.StringLiteral).Val }

// withTarget adds the labels that Prometheus gives to each series.
func withTarget(s labelSet) labelSet {
	all := labelSet{"job": true, "instance": true}
	maps.Copy(all, s)
	return all
}

func unknown(what string, names []string, known labelSet) []string {
	var all []string
	for _, name := range names {
		if !known[name] {
			all = append(all, fmt.Sprintf("%s: there is no label %q", what, name))
		}
	}
	return all
}

// TestFaults checks that the check of expressions finds what is wrong.
func TestFaults(t *testing.T) {
	metrics := map[string]labelSet{"m": {"service": true, "state": true}, "n": {}}
	for text, want := range map[string]int{
		`m{service="a", job="b"}`:      0,
		`none`:                         1,
		`m{servce="a"}`:                1,
		`m{state="SERVING"}`:           0,
		`m{state="NOTSERVING"}`:        1,
		`m{state=~"DEGRADED|UNKNOWN"}`: 0,
		`sum by (service) (m)`:         0,
		`sum by (servce) (m)`:          1,
		`sum by (service) (n)`:         1,
		`sum by (root) (label_replace(m, "root", "$1", "service", ""))`: 0,
		`n * on (root) group_left (cause) m`:                            2,
		`n * on () group_left (x) count_values("x", m)`:                 0,
	} {
		if got := faults(parse(t, expression{text: text}), metrics); len(got) != want {
			t.Errorf("%s: %q, want %d faults", text, got, want)
		}
	}
}
