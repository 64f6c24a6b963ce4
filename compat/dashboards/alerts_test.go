package dashboards

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// severities has the alerts and the severities of their rules.
var severities = map[string][]string{
	"ServiceNotServing":     {"critical"},
	"ServiceDegraded":       {"warning"},
	"MeshUnconfirmedHigh":   {"warning"},
	"CoordinatorDown":       {"critical"},
	"CoordinatorDegraded":   {"warning"},
	"GuardTripped":          {"critical"},
	"CoverageLow":           {"warning"},
	"StoreFailing":          {"warning"},
	"Flapping":              {"info"},
	"CertificateExpires":    {"critical", "warning"},
	"CertificateUnreadable": {"warning"},
	"ErrorBudgetBurn":       {"critical", "warning"},
}

// TestAlerts checks what every alert must have, and that no alert is missing.
func TestAlerts(t *testing.T) {
	got := map[string][]string{}
	for _, a := range alerts(t) {
		got[a.Alert] = append(got[a.Alert], a.Labels["severity"])
		if d, err := time.ParseDuration(a.For); err != nil || d < time.Minute {
			t.Errorf("%s: for is %q; allowed: 1m or more", a.Alert, a.For)
		}
		for _, name := range []string{"summary", "description", "page", "command", "runbook"} {
			if a.Annotations[name] == "" {
				t.Errorf("%s: has no annotation %s", a.Alert, name)
			}
		}
		if want := "docs/runbooks/" + a.Alert + ".md"; a.Annotations["runbook"] != want {
			t.Errorf("%s: the runbook is %q, want %q", a.Alert, a.Annotations["runbook"], want)
		}
		if !strings.HasPrefix(a.Annotations["page"], "/ui/") || !strings.HasPrefix(a.Annotations["command"], "meshhealth ") {
			t.Errorf("%s: the page is %q, the command is %q", a.Alert, a.Annotations["page"], a.Annotations["command"])
		}
		if strings.Contains(a.Expr, "meshhealth_instance_") && a.Labels["severity"] != "info" {
			t.Errorf("%s: depends on a single instance, so its severity must be info", a.Alert)
		}
		if strings.Contains(a.Expr, "service_trouble") && !(strings.Contains(a.Annotations["summary"], "cause ") && strings.Contains(a.Annotations["summary"], "root ")) {
			t.Errorf("%s: the summary has no cause or no root: %s", a.Alert, a.Annotations["summary"])
		}
	}
	if !maps.EqualFunc(got, severities, slices.Equal) {
		t.Errorf("the alerts are %v, want %v", got, severities)
	}
}

// unitTests is a file of unit tests of promtool, as far as the tests need it.
type unitTests struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval string   `yaml:"evaluation_interval"`
	GroupEvalOrder     []string `yaml:"group_eval_order"`
	Tests              []struct {
		Name        string `yaml:"name"`
		Interval    string `yaml:"interval"`
		InputSeries []any  `yaml:"input_series"`
		Expressions []any  `yaml:"promql_expr_test"`
		Alerts      []struct {
			Name string `yaml:"alertname"`
			At   string `yaml:"eval_time"`
			Want []struct {
				Labels      map[string]string `yaml:"exp_labels"`
				Annotations map[string]string `yaml:"exp_annotations"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

// TestAlertsAreTested checks that a unit test sees each alert silent, and another one sees it fire,
// with each severity that it can have.
func TestAlertsAreTested(t *testing.T) {
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, name := range glob(t, prometheus+"/tests/*.yaml") {
		var file unitTests
		unmarshal(t, name, &file)
		for _, test := range file.Tests {
			for _, a := range test.Alerts {
				silent[a.Name] = silent[a.Name] || len(a.Want) == 0
				for _, w := range a.Want {
					fires[a.Name+" "+w.Labels["severity"]] = true
				}
			}
		}
	}
	for _, a := range alerts(t) {
		if !silent[a.Alert] || !fires[a.Alert+" "+a.Labels["severity"]] {
			t.Errorf("%s, %s: fires in a test: %v, silent in a test: %v", a.Alert, a.Labels["severity"], fires[a.Alert+" "+a.Labels["severity"]], silent[a.Alert])
		}
	}
}

// TestPromtool runs the checks and the unit tests of Prometheus itself.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool := program(t, "promtool")
	tests := glob(t, prometheus+"/tests/*.yaml")
	for _, args := range [][]string{
		{"check", "rules", prometheus + "/rules.yaml", prometheus + "/alerts.yaml"},
		{"check", "config", prometheus + "/prometheus.yaml"},
		append([]string{"test", "rules"}, tests...),
	} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

var (
	markdownLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	markdownHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noLetter        = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	consoleLine     = regexp.MustCompile(`(?m)^\$ (.+)$`)
)

// headings are the sections of each runbook.
var headings = []string{"## Meaning", "## Look", "## Act"}

// TestRunbooks checks that each alert has a page, that each page has an alert, and that its links
// lead somewhere.
func TestRunbooks(t *testing.T) {
	found := map[string]bool{}
	for _, name := range glob(t, runbooks+"/*.md") {
		text := string(read(t, name))
		found[page(name)] = true
		if severities[page(name)] == nil || !strings.HasPrefix(text, "# "+page(name)+"\n") {
			t.Errorf("%s: is no page of an alert, or has another title", name)
		}
		for _, h := range headings {
			if !strings.Contains(text, "\n"+h+"\n") {
				t.Errorf("%s: has no section %q", name, h)
			}
		}
		if len(consoleLine.FindAllString(text, -1)) == 0 {
			t.Errorf("%s: has no command", name)
		}
	}
	for alert := range severities {
		if !found[alert] {
			t.Errorf("%s: has no runbook", alert)
		}
	}
	for _, name := range append(glob(t, runbooks+"/*.md"), root+"/docs/dashboards.md") {
		for _, l := range brokenLinks(t, name) {
			t.Errorf("%s: the link %s leads nowhere", name, l)
		}
	}
}

// brokenLinks returns the links of a Markdown file that lead to no file or to no heading.
func brokenLinks(t *testing.T, name string) []string {
	t.Helper()
	var broken []string
	for _, m := range markdownLink.FindAllStringSubmatch(string(read(t, name)), -1) {
		file, anchor, _ := strings.Cut(m[1], "#")
		to := filepath.Join(filepath.Dir(name), file)
		if _, err := os.Stat(to); err != nil || anchor != "" && !slices.Contains(anchors(string(read(t, to))), anchor) {
			broken = append(broken, m[1])
		}
	}
	return broken
}

// anchors returns the anchors that a Markdown file has for its headings.
func anchors(text string) []string {
	var all []string
	for _, m := range markdownHeading.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.ReplaceAll(noLetter.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

// commands returns the commands of the runbooks and of the annotations, with a name in the place
// of SERVICE and of each template.
func commands(t *testing.T, service string) []string {
	t.Helper()
	all := map[string]bool{}
	template := regexp.MustCompile(`\{\{.*?\}\}`)
	for _, a := range alerts(t) {
		all[template.ReplaceAllString(a.Annotations["command"], service)] = true
	}
	for _, name := range glob(t, runbooks+"/*.md") {
		for _, m := range consoleLine.FindAllStringSubmatch(string(read(t, name)), -1) {
			all[strings.ReplaceAll(m[1], "SERVICE", service)] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// program returns the path of a program. Without it, it skips the test, or fails it if CI is set.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	end := t.Skipf
	if os.Getenv("CI") != "" {
		end = t.Fatalf
	}
	end("NOT RUN: there is no %s; `make compat` installs it from Debian", names[0])
	return ""
}
