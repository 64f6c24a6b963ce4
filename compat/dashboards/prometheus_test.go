package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	client_golang "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/promhealth"
)

// TestPrometheus lets a real Prometheus scrape a real demo, with the configuration and the rules of
// deploy. Every expression and every rule is evaluated. Each panel has data while a service is in
// trouble.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	path := program(t, "prometheus")
	binary, grpcAt, httpAt := build(t), freeAddress(t), freeAddress(t)
	start(t, binary, "demo", "--for", "0", "--listen", grpcAt, "--http", httpAt)
	service := oneService(t, httpAt)
	p := startPrometheus(t, path, httpAt, serveChecks(t, service))
	meshhealth := func(args ...string) ([]byte, error) {
		return exec.CommandContext(t.Context(), binary, append(args, "--coordinator", grpcAt)...).CombinedOutput()
	}
	if out, err := meshhealth("override", "set", service, "NOT_SERVING", "--reason", "a test", "--for", "1h"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.waitForRules(t)
	p.checkExpressions(t, service)
	p.checkAlert(t, service)
	for _, c := range commands(t, service) {
		name, args, _ := strings.Cut(c, " ")
		// The exit codes 0 to 2 are statuses; 3 is also a wrong command line.
		out, err := meshhealth(strings.Fields(args)...)
		var exit *exec.ExitError
		if name != "meshhealth" || err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 2) {
			t.Errorf("%s: %v\n%s", c, err, out)
		}
	}
}

// oneService waits until the demo has services in metrics, and returns one.
func oneService(t *testing.T, at string) string {
	t.Helper()
	name := ""
	eventually(t, func() error {
		families, err := scrape(t.Context(), at)
		if err != nil {
			return err
		}
		for _, m := range families["meshhealth_service_status"].GetMetric() {
			name = m.GetLabel()[0].GetValue()
			return nil
		}
		return errors.New("the demo has no service yet")
	})
	return name
}

// serveChecks serves the metrics of a server with checks, as a process of the service does. It
// returns the address.
func serveChecks(t *testing.T, service string) string {
	t.Helper()
	srv, err := server.New(server.Config{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Add(server.Check{Name: "db", Every: 200 * time.Millisecond, Run: func(context.Context) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	run(t, srv.Run)
	registry := client_golang.NewRegistry()
	registry.MustRegister(promhealth.NewCollector(srv))
	s := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// prometheusAPI is the HTTP API of a Prometheus.
type prometheusAPI struct{ at string }

var interval = regexp.MustCompile(`(interval: )\d+[sm]\b`)

// startPrometheus starts a Prometheus with the files of deploy. Only the addresses and the
// intervals are others: everything happens each second.
func startPrometheus(t *testing.T, path, coordinator, services string) *prometheusAPI {
	t.Helper()
	dir, at := t.TempDir(), freeAddress(t)
	for _, name := range []string{"prometheus.yaml", "rules.yaml", "alerts.yaml"} {
		text := interval.ReplaceAllString(string(read(t, filepath.Join(prometheus, name))), "${1}1s")
		for from, to := range map[string]string{"[127.0.0.1:7071]": coordinator, "[127.0.0.1:8080]": services} {
			text = strings.Replace(text, from, fmt.Sprintf("[%q]", to), 1)
		}
		write(t, filepath.Join(dir, name), text)
	}
	start(t, path, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+at, "--log.level=warn")
	return &prometheusAPI{at: at}
}

// get calls the API, and decodes the field data of the answer.
func (p *prometheusAPI) get(ctx context.Context, path string, query url.Values, data any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.at+"/api/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", resp.Status, answer.Error)
	}
	return nil
}

var errNoSeries = errors.New("no series")

// hasSeries evaluates an expression. It returns errNoSeries if the result is empty.
func (p *prometheusAPI) hasSeries(ctx context.Context, e expression) error {
	path, query := "query", url.Values{"query": {e.text}}
	if !e.instant {
		now := time.Now().Unix()
		path = "query_range"
		query["start"], query["end"], query["step"] = []string{fmt.Sprint(now - 10)}, []string{fmt.Sprint(now)}, []string{"1"}
	}
	var data struct{ Result []any }
	if err := p.get(ctx, path, query, &data); err != nil {
		return err
	}
	if len(data.Result) == 0 {
		return errNoSeries
	}
	return nil
}

// waitForRules waits until all rules were evaluated without an error.
func (p *prometheusAPI) waitForRules(t *testing.T) {
	t.Helper()
	want := len(rules(t))
	eventually(t, func() error {
		var data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := p.get(t.Context(), "rules", nil, &data); err != nil {
			return err
		}
		good := 0
		for _, g := range data.Groups {
			for _, r := range g.Rules {
				if r.LastError != "" {
					t.Fatalf("%s: %s", r.Name, r.LastError)
				}
				if r.Health == "ok" {
					good++
				}
			}
		}
		if good != want {
			return fmt.Errorf("%d rules were evaluated, want %d", good, want)
		}
		return nil
	})
}

// checkExpressions evaluates all expressions. It waits until those of panels have data. Alerts need
// not fire.
func (p *prometheusAPI) checkExpressions(t *testing.T, service string) {
	t.Helper()
	v := values{"$__rate_interval": "10s", "$__range": "1h", "$job": "meshhealth", "$service": service}
	for _, e := range expressions(t, v) {
		eventually(t, func() error {
			err := p.hasSeries(t.Context(), e)
			if errors.Is(err, errNoSeries) && mayBeEmpty(e) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", e.where, err, e.text)
			}
			return nil
		})
	}
}

// empty has the panels without data in the test, and why they have none.
var empty = map[string]string{
	"Last late wake":             "the coordinator of the test need not be late",
	"xDS streams":                "no xDS client is connected",
	"Calls to instances by code": "no call to an instance need have ended",
}

func mayBeEmpty(e expression) bool {
	for title := range empty {
		if strings.Contains(e.where, fmt.Sprintf("panel %q", title)) {
			return true
		}
	}
	return strings.HasPrefix(e.where, "alerts.yaml")
}

// checkAlert waits for the alert on the service. It is pending, because a minute has not passed.
func (p *prometheusAPI) checkAlert(t *testing.T, service string) {
	t.Helper()
	want := fmt.Sprintf("%s is NOT_SERVING for ", service)
	eventually(t, func() error {
		var data struct {
			Alerts []struct {
				State               string
				Labels, Annotations map[string]string
			}
		}
		if err := p.get(t.Context(), "alerts", nil, &data); err != nil {
			return err
		}
		for _, a := range data.Alerts {
			summary := a.Annotations["summary"]
			if a.Labels["alertname"] == "ServiceNotServing" && strings.HasPrefix(summary, want) && a.Labels["root"] != "" && strings.Contains(summary, "cause ") {
				return nil
			}
		}
		return fmt.Errorf("the alerts are %v, want ServiceNotServing of %s", data.Alerts, service)
	})
}
