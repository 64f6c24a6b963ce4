package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// look is how each status looks on every dashboard: the glyph and the colour. The command
// meshhealth and the page of the coordinator have the same glyphs. The colours are those of the
// page on a dark background, which is the default of Grafana.
var look = map[health.Status]struct{ glyph, colour string }{
	health.Serving:     {"●", "#34a8ad"},
	health.Degraded:    {"▲", "#f8a13f"},
	health.NotServing:  {"✖", "#e6383c"},
	health.Unknown:     {"?", "#8b949e"},
	health.Starting:    {"◔", "#b1bac4"},
	health.Draining:    {"▽", "#6e7681"},
	health.Maintenance: {"■", "#57606a"},
}

// codes are the numbers of the statuses that have no number in metrics. The dashboards use them in
// timelines.
var codes = map[health.Status]float64{health.Unknown: 3, health.Starting: 4, health.Draining: 5, health.Maintenance: 6}

func statusNames() []string {
	var all []string
	for _, s := range health.Statuses() {
		all = append(all, s.String())
	}
	return all
}

// shown is what a value mapping shows for a value.
type shown struct{ Text, Color string }

// mapping returns the value mapping that every status has: by its number and by its name.
func mapping() map[string]shown {
	all := map[string]shown{}
	for _, s := range health.Statuses() {
		number, ok := s.Metric()
		if !ok {
			number = codes[s]
		}
		show := shown{look[s].glyph + " " + s.String(), look[s].colour}
		all[s.String()], all[strconv.FormatFloat(number, 'f', -1, 64)] = show, show
	}
	return all
}

// TestDashboards checks what Grafana needs to load each file without questions.
func TestDashboards(t *testing.T) {
	uids, want := map[string]bool{}, []string{"coordinator.json", "mesh.json", "service.json", "slo.json"}
	var files []string
	for _, d := range dashboards(t) {
		files = append(files, d.file)
		if d.UID != "meshhealth-"+strings.TrimSuffix(d.file, ".json") || uids[d.UID] {
			t.Errorf("%s: the uid is %q; allowed: meshhealth- and the name of the file, once", d.file, d.UID)
		}
		uids[d.UID] = true
		if d.ID != nil || d.Inputs != nil || d.Title == "" {
			t.Errorf("%s: has an id, __inputs, or no title", d.file)
		}
		types := map[string]string{}
		for _, v := range d.Templating.List {
			types[v.Name] = v.Type
		}
		for name, kind := range map[string]string{"datasource": "datasource", "job": "query", "meshhealth_url": "textbox"} {
			if types[name] != kind {
				t.Errorf("%s: the variable %s is %q, want %q", d.file, name, types[name], kind)
			}
		}
	}
	if !slices.Equal(files, want) {
		t.Errorf("the files are %q, want %q", files, want)
	}
}

// TestPanels checks that each panel says what it shows, in which unit, and what it means if it
// shows nothing.
func TestPanels(t *testing.T) {
	for _, d := range dashboards(t) {
		ids, titles, cells := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] || titles[p.Title] || p.Title == "" {
				t.Errorf("%s, panel %q: the id or the title is used twice, or there is no title", d.file, p.Title)
			}
			ids[p.ID], titles[p.Title] = true, true
			if g := p.GridPos; g.X+g.W > 24 || g.W == 0 || g.H == 0 {
				t.Errorf("%s, panel %q: does not fit into 24 columns", d.file, p.Title)
			}
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if other := cells[at]; other != "" && other != p.Title {
						t.Fatalf("%s: the panels %q and %q overlap", d.file, p.Title, other)
					}
					cells[at] = p.Title
				}
			}
		}
		for _, p := range d.charts() {
			for _, fault := range panelFaults(&p) {
				t.Errorf("%s, panel %q: %s", d.file, p.Title, fault)
			}
		}
	}
}

const datasource = "${datasource}"

// window matches the range of a range selector or of a subquery.
var window = regexp.MustCompile(`\[(.*?)\]`)

func panelFaults(p *panel) []string {
	var all []string
	need := func(ok bool, fault string) {
		if !ok {
			all = append(all, fault)
		}
	}
	f := p.FieldConfig.Defaults
	need(f.Unit != "", "has no unit")
	need(f.NoValue != "", "has no text for no data")
	need(strings.HasSuffix(p.Description, "."), "has no description")
	for sentence := range strings.SplitSeq(p.Description, ". ") {
		need(len(strings.Fields(sentence)) <= 25, "has a sentence of more than 25 words")
	}
	need(p.Datasource.UID == datasource, "does not use the variable for the data source")
	need(len(p.Targets) > 0, "has no query")
	for _, q := range p.Targets {
		need(q.Datasource.UID == datasource, "a query does not use the variable for the data source")
		need(q.Instant != q.Range, "a query must be either instant or a range")
		for _, m := range window.FindAllStringSubmatch(q.Expr, -1) {
			need(m[1] == "$__rate_interval" || m[1] == "$__range", "a window is "+m[1]+"; allowed: $__rate_interval, $__range")
		}
		need(p.Type != "state-timeline" || bounded(q.Expr), "a timeline may have more than 30 rows")
	}
	return all
}

// bounded reports whether a timeline has few rows: it selects 30, or shows one service, or has a row
// for each zone.
func bounded(expr string) bool {
	many := strings.Contains(expr, "by (instance)") ||
		strings.Contains(expr, "by (service)") && !strings.Contains(expr, `service="$service"`)
	return !many || strings.Contains(expr, "topk(30,")
}

// TestLook checks that a status has the same glyph, word and colour everywhere.
func TestLook(t *testing.T) {
	for s := range health.NumStatuses {
		if look[s].glyph == "" {
			t.Errorf("the test does not know %s", s)
		}
	}
	colour := regexp.MustCompile(`"#[0-9a-fA-F]+"`)
	allowed := map[string]bool{}
	for _, l := range look {
		allowed[`"`+l.colour+`"`] = true
	}
	for _, d := range dashboards(t) {
		for _, c := range colour.FindAll(d.text, -1) {
			if !allowed[string(c)] {
				t.Errorf("%s: the colour %s is none of a status", d.file, c)
			}
		}
		mapped := 0
		for _, p := range d.charts() {
			mapped += checkMapping(t, d.file+", panel "+p.Title, p.FieldConfig.Defaults.Mappings)
			for _, o := range p.FieldConfig.Overrides {
				mapped += checkOverride(t, d.file+", panel "+p.Title, o.Properties)
			}
		}
		if mapped == 0 {
			t.Errorf("%s: shows no status", d.file)
		}
	}
}

// checkMapping checks a value mapping that is not empty. It returns the number of mappings.
func checkMapping(t *testing.T, where string, raw json.RawMessage) int {
	t.Helper()
	if bytes.Equal(bytes.TrimSpace(raw), []byte("[]")) {
		return 0
	}
	var all []struct {
		Type    string
		Options map[string]shown
	}
	if err := json.Unmarshal(raw, &all); err != nil || len(all) != 1 || all[0].Type != "value" {
		t.Fatalf("%s: the mappings are not one list of values: %v", where, err)
	}
	if got := all[0].Options; !reflect.DeepEqual(got, mapping()) {
		t.Errorf("%s: the mapping is %v, want %v", where, got, mapping())
	}
	return 1
}

// checkOverride checks the mapping in an override, or the name that it gives to the series of a
// status.
func checkOverride(t *testing.T, where string, properties []property) int {
	t.Helper()
	n := 0
	var show shown
	for _, p := range properties {
		switch p.ID {
		case "mappings":
			n += checkMapping(t, where, p.Value)
		case "displayName":
			show.Text = unquote(t, p.Value)
		case "color":
			var c struct{ FixedColor string }
			if err := json.Unmarshal(p.Value, &c); err != nil {
				t.Fatal(err)
			}
			show.Color = c.FixedColor
		}
	}
	if show.Text == "" {
		return n
	}
	_, name, _ := strings.Cut(show.Text, " ")
	if show != mapping()[name] {
		t.Errorf("%s: an override shows %v, want %v", where, show, mapping()[name])
	}
	return n + 1
}

func unquote(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// pagePath matches the pages of the coordinator.
var pagePath = regexp.MustCompile(`^\$\{meshhealth_url\}/ui/(r/[^/]+|s/[^/]+(/[^/]+)?|coordinator)?$`)

// TestPageLinks checks that each link leads to a page of the coordinator, with names that are escaped.
func TestPageLinks(t *testing.T) {
	for _, d := range dashboards(t) {
		var all []link
		for _, l := range d.Links {
			if l.Type == "link" {
				all = append(all, l)
			}
		}
		for _, p := range d.charts() {
			all = append(all, p.FieldConfig.Defaults.Links...)
			for _, o := range p.FieldConfig.Overrides {
				for _, each := range o.Properties {
					var more []link
					if each.ID == "links" && json.Unmarshal(each.Value, &more) == nil {
						all = append(all, more...)
					}
				}
			}
		}
		if len(all) < 2 {
			t.Errorf("%s: has %d links", d.file, len(all))
		}
		for _, l := range all {
			if err := linkFault(l.URL); err != nil {
				t.Errorf("%s: %v", d.file, err)
			}
		}
	}
}

var insertion = regexp.MustCompile(`\$\{([^}]*)\}`)

func linkFault(url string) error {
	if !pagePath.MatchString(url) {
		return fmt.Errorf("the link %s leads to no page of the coordinator", url)
	}
	for _, m := range insertion.FindAllStringSubmatch(url, -1) {
		if m[1] != "meshhealth_url" && !strings.HasSuffix(m[1], ":percentencode") {
			return fmt.Errorf("the link %s does not escape %s", url, m[1])
		}
	}
	return nil
}
