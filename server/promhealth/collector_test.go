package promhealth

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// running returns a server with one check for each kind of result.
func running(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.New(server.Config{Service: "payments", Services: []server.Service{{Name: "orders", Checks: []string{"db"}}}})
	if err != nil {
		t.Fatal(err)
	}
	takes := func(d time.Duration, err error) func(context.Context) error {
		return func(context.Context) error { time.Sleep(d); return err }
	}
	err = s.Add(
		server.Check{Name: "db", Run: takes(3*time.Millisecond, nil), Every: 1000 * time.Hour}, // its second run has a random time
		server.Check{Name: "queue", Run: takes(0, health.Warnf("9 waiting"))},
		server.Check{Name: "cache", Run: takes(time.Second, errors.New("down")), OnFail: server.Degrade},
		server.Check{Name: "hung", Run: takes(time.Hour, nil), OnFail: server.Ignore},
		server.Check{Name: "later", Run: takes(0, nil), InitialDelay: time.Hour, OnFail: server.Ignore},
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done; time.Sleep(2 * time.Hour) })
	time.Sleep(2100 * time.Millisecond) // before any check runs twice: a status in doubt causes a run after 2 s
	synctest.Wait()
	return s
}

// TestMetrics compares the text of two scrapes.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCollector(running(t))
		want := `
			health_check_overdue{check="cache",service="payments"} 0
			health_check_overdue{check="db",service="payments"} 0
			health_check_overdue{check="hung",service="payments"} 1
			health_check_overdue{check="later",service="payments"} 0
			health_check_overdue{check="queue",service="payments"} 0
			health_check_status{check="cache",service="payments"} 0
			health_check_status{check="db",service="payments"} 2
			health_check_status{check="hung",service="payments"} 0
			health_check_status{check="queue",service="payments"} 1
			health_service_status{name="orders",service="payments"} 2
			health_service_status{name="payments",service="payments"} 1
		`
		for range 2 {
			got, err := testutil.CollectAndFormat(c, expfmt.TypeTextPlain, "health_check_overdue", "health_check_status", "health_service_status")
			if err != nil {
				t.Fatal(err)
			}
			if plain(string(got)) != plain(want) {
				t.Errorf("got\n%s\nwant\n%s", plain(string(got)), plain(want))
			}
		}
	})
}

// TestRunsAndDurations: runs are counted by result and by duration.
func TestRunsAndDurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := testutil.CollectAndFormat(NewCollector(running(t)), expfmt.TypeTextPlain, "health_check_runs_total", "health_check_duration_seconds", "health_check_last_success_timestamp_seconds")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`health_check_runs_total{check="db",result="pass",service="payments"} 1`,
			`health_check_runs_total{check="db",result="fail",service="payments"} 0`,
			`health_check_runs_total{check="hung",result="timeout",service="payments"} 1`,
			`health_check_runs_total{check="later",result="pass",service="payments"} 0`,
			`health_check_duration_seconds_bucket{check="db",service="payments",le="0.001"} 0`,
			`health_check_duration_seconds_bucket{check="db",service="payments",le="0.005"} 1`,
			`health_check_duration_seconds_bucket{check="db",service="payments",le="+Inf"} 1`,
			`health_check_duration_seconds_sum{check="db",service="payments"} 0.003`,
			`health_check_last_success_timestamp_seconds{check="db",service="payments"} 9.46684800003e+08`,
		} {
			if !strings.Contains(string(got), want+"\n") {
				t.Errorf("no %s in\n%s", want, got)
			}
		}
		for _, check := range []string{"hung", "cache", "later"} {
			if strings.Contains(string(got), `last_success_timestamp_seconds{check="`+check) {
				t.Errorf("%s has never succeeded", check)
			}
		}
	})
}

// TestLint: the names follow the rules of Prometheus. A second registration is an error.
func TestLint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCollector(running(t))
		problems, err := testutil.CollectAndLint(c)
		if err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
		r := prometheus.NewPedanticRegistry()
		if err := r.Register(c); err != nil {
			t.Error(err)
		}
		if _, err := r.Gather(); err != nil {
			t.Error(err)
		}
	})
}

// plain removes comments and indentation.
func plain(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
