package writer

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsAreDocumented compares the names of the metrics with docs/kubernetes.md.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile("meshhealth_kube_[a-z_]+").FindAllString(string(page), -1)
	slices.Sort(documented)
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	m.writes.WithLabelValues("Pod", "written")
	m.objects.WithLabelValues("Pod")
	m.actions.WithLabelValues("done")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", f.GetName())
		}
	}
	if !slices.Equal(names, slices.Compact(documented)) {
		t.Errorf("the metrics are %q; the page has %q", names, documented)
	}
}
