package dashboards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client_golang "github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/coordinator/metrics"
	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/promhealth"
)

// exported returns the metrics, and the labels of each, of a real coordinator and a real server
// that is in trouble.
func exported(t *testing.T) map[string]labelSet {
	t.Helper()
	registry := client_golang.NewRegistry()
	at := startMesh(t, registry)
	var families map[string]*dto.MetricFamily
	eventually(t, func() error {
		var err error
		families, err = scrape(t.Context(), at)
		if _, ok := families["meshhealth_service_trouble_timestamp_seconds"]; err == nil && !ok {
			err = errors.New("no service is in trouble")
		}
		return err
	})
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := described(t)
	for _, f := range families {
		gathered = append(gathered, f)
	}
	for _, f := range gathered {
		add(all, f)
	}
	return all
}

// startMesh starts a coordinator and a server with a check that passes at first, and then fails. It
// returns the HTTP address
// of the coordinator, and registers the metrics of the server.
func startMesh(t *testing.T, registry *client_golang.Registry) string {
	t.Helper()
	co, err := coordinator.New(t.Context(), coordinator.Config{Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, co.Run)
	srv, err := server.New(server.Config{Service: "payments"})
	if err != nil {
		t.Fatal(err)
	}
	var down atomic.Bool
	db := func(context.Context) error {
		if down.Load() {
			return errors.New("the database is down")
		}
		return nil
	}
	if err := srv.Add(server.Check{Name: "db", Run: db, Every: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	run(t, srv.Run)
	registry.MustRegister(promhealth.NewCollector(srv))
	g := grpc.NewServer()
	srv.Register(g)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go g.Serve(listener)
	t.Cleanup(g.Stop)
	mesh, err := client.New(client.Config{Coordinator: co.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mesh.Close() })
	_, err = mesh.Register(t.Context(), client.Instance{
		Service: "payments", Instance: "a", Zone: "eu-1", Address: listener.Addr().String(), Feed: srv.Feed(),
	})
	if err != nil {
		t.Fatal(err)
	}
	// A service that was never SERVING is STARTING for a while, and not in trouble.
	at := co.HTTPAddr().String()
	eventually(t, func() error {
		families, err := scrape(t.Context(), at)
		if err == nil && families["meshhealth_service_status"] == nil {
			err = errors.New("the service is not SERVING yet")
		}
		return err
	})
	down.Store(true)
	return at
}

// run runs a component until the end of the test.
func run(t *testing.T, component func(context.Context) error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- component(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func scrape(ctx context.Context, at string) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	return p.TextToMetricFamilies(resp.Body)
}

// add adds the series names of a family, and the labels of its series.
func add(all map[string]labelSet, f *dto.MetricFamily) {
	set := labelSet{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			set[l.GetName()] = true
		}
	}
	maps.Copy(set, all[f.GetName()])
	all[f.GetName()] = set
	if f.GetType() == dto.MetricType_HISTOGRAM {
		bucket := maps.Clone(set)
		bucket["le"] = true
		all[f.GetName()+"_sum"], all[f.GetName()+"_count"], all[f.GetName()+"_bucket"] = set, set, bucket
	}
}

var description = regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{([^}]*)\}`)

// described returns the metrics that a coordinator registers. Some of them have series only after
// an event, such as a late wake, or the end of a call to an instance.
func described(t *testing.T) map[string]labelSet {
	t.Helper()
	m, err := metrics.New(metrics.Config{Feed: feed.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan *client_golang.Desc)
	go func() { defer close(ch); m.Describe(ch); metrics.ClientMetrics().Describe(ch) }()
	all := map[string]labelSet{}
	for d := range ch {
		match := description.FindStringSubmatch(d.String())
		if match == nil {
			t.Fatalf("a description has another form: %s", d)
		}
		set := labelSet{}
		for name := range strings.SplitSeq(match[2], ",") {
			if name != "" {
				set[name] = true
			}
		}
		all[match[1]] = set
	}
	return all
}

// patience bounds the wait for what is sure to come.
const patience = 60 * time.Second

// eventually repeats try until it returns nil, and fails the test if it does not.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(patience); ; <-ticker.C {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %v", patience, err)
		}
	}
}
