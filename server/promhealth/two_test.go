package promhealth

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/meshhealth/meshhealth/server"
)

func serverOf(t *testing.T, name string) *server.Server {
	t.Helper()
	s, err := server.New(server.Config{Service: name, Services: []server.Service{{Name: "shared", Checks: []string{"db"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTwoServersInOneProcess: one registry accepts both collectors, and each series names
// its server.
func TestTwoServersInOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prometheus.NewPedanticRegistry()
		for _, s := range []*server.Server{running(t), serverOf(t, "orders"), serverOf(t, "mail")} {
			if err := s.SetStatus(1, ""); err != nil {
				t.Fatal(err)
			}
			if err := r.Register(NewCollector(s)); err != nil {
				t.Fatal(err)
			}
		}
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, f := range families {
			if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
				t.Fatal(err)
			}
		}
		for line := range strings.Lines(plain(b.String())) {
			if !strings.Contains(line, `service="`) {
				t.Errorf("no service in %s", line)
			}
		}
		for _, want := range []string{
			`health_service_status{name="shared",service="orders"} 2`, `health_service_status{name="shared",service="mail"} 2`,
			`health_service_status{name="payments",service="payments"} 1`, `health_check_status{check="db",service="payments"} 2`,
		} {
			if !strings.Contains(b.String(), want+"\n") {
				t.Errorf("no %s in\n%s", want, b.String())
			}
		}
	})
}

// TestWrapping: a registerer that adds a label or a prefix accepts the collector.
func TestWrapping(t *testing.T) {
	for _, label := range []string{"server", "instance", "app", "job", "namespace", "zone", "component", "process"} {
		r := prometheus.NewPedanticRegistry()
		for _, value := range []string{"a", "b"} {
			// Both servers have the same name.
			wrapped := prometheus.WrapRegistererWithPrefix("x_", prometheus.WrapRegistererWith(prometheus.Labels{label: value}, r))
			if err := wrapped.Register(NewCollector(serverOf(t, "orders"))); err != nil {
				t.Errorf("%s: %v", label, err)
			}
		}
		if _, err := r.Gather(); err != nil {
			t.Errorf("%s: %v", label, err)
		}
	}
}

// TestSameServiceTwice: the registry rejects a second server of the same name.
func TestSameServiceTwice(t *testing.T) {
	r := prometheus.NewRegistry()
	for i, want := range []bool{true, false} {
		if err := r.Register(NewCollector(serverOf(t, "orders"))); (err == nil) != want {
			t.Errorf("%d: %v", i, err)
		}
	}
}
