package dashboards

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The folders of the files that the tests check, relative to this package.
const (
	root       = "../.."
	grafana    = root + "/deploy/grafana"
	prometheus = root + "/deploy/prometheus"
	runbooks   = root + "/docs/runbooks"
)

// dashboard is a file of Grafana, as far as the tests need it.
type dashboard struct {
	file       string
	text       []byte
	ID         any     `json:"id"`
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Inputs     any     `json:"__inputs"`
	Panels     []panel `json:"panels"`
	Links      []link  `json:"links"`
	Templating struct {
		List []variable `json:"list"`
	} `json:"templating"`
}

type variable struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Query any    `json:"query"`
}

type link struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Datasource  struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos     struct{ X, Y, W, H int } `json:"gridPos"`
	Targets     []target                 `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit     string          `json:"unit"`
			NoValue  string          `json:"noValue"`
			Mappings json.RawMessage `json:"mappings"`
			Links    []link          `json:"links"`
		} `json:"defaults"`
		Overrides []struct {
			Properties []property `json:"properties"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
}

// property is one setting in an override of a panel.
type property struct {
	ID    string          `json:"id"`
	Value json.RawMessage `json:"value"`
}

type target struct {
	RefID      string `json:"refId"`
	Expr       string `json:"expr"`
	Instant    bool   `json:"instant"`
	Range      bool   `json:"range"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
}

// charts returns the panels that show data: all but rows.
func (d *dashboard) charts() []panel {
	var all []panel
	for _, p := range d.Panels {
		if p.Type != "row" {
			all = append(all, p)
		}
	}
	return all
}

func dashboards(t *testing.T) []dashboard {
	t.Helper()
	var all []dashboard
	for _, name := range glob(t, grafana+"/*.json") {
		d := dashboard{file: filepath.Base(name), text: read(t, name)}
		if err := json.Unmarshal(d.text, &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, d)
	}
	return all
}

// rule is a recording rule or an alert.
type rule struct {
	file, group string
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, file := range []string{"rules.yaml", "alerts.yaml"} {
		var content struct {
			Groups []struct {
				Name     string `yaml:"name"`
				Interval string `yaml:"interval"`
				Rules    []rule `yaml:"rules"`
			} `yaml:"groups"`
		}
		unmarshal(t, filepath.Join(prometheus, file), &content)
		for _, g := range content.Groups {
			for _, r := range g.Rules {
				r.file, r.group = file, g.Name
				all = append(all, r)
			}
		}
	}
	return all
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, r := range rules(t) {
		if r.Alert != "" {
			all = append(all, r)
		}
	}
	return all
}

// unmarshal reads a YAML file and refuses fields that the type does not have.
func unmarshal(t *testing.T, name string, to any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(read(t, name)))
	d.KnownFields(true)
	if err := d.Decode(to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// glob returns the files that match a pattern. It fails if there is none.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(names), err)
	}
	return names
}

// page returns the name of a Markdown file without its folder and its extension.
func page(name string) string { return strings.TrimSuffix(filepath.Base(name), ".md") }
