package writer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/internal/testmesh"
	"github.com/meshhealth/meshhealth/kube/internal/cluster"
	"github.com/meshhealth/meshhealth/kube/internal/plan"
)

const meshAddress = "coordinator:7070"

// world is a coordinator, a service at podAddress, a cluster, and a writer, in one bubble.
type world struct {
	t       *testing.T
	net     *testmesh.Network
	store   store.Store
	status  *stock.Server
	cluster *pods
	log     *lines
	metrics *Metrics
	stops   []func()
	mesh    func() // stops the coordinator
}

const podAddress = "10.0.0.1:9000"

// in runs a test in a bubble.
func in(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, net: testmesh.NewNetwork(), store: store.NewMemory(0), status: stock.NewServer(), log: &lines{},
			cluster: &pods{changed: make(chan struct{}), objects: map[string]map[string]any{}}, metrics: NewMetrics(prometheus.NewRegistry()),
		}
		g := grpc.NewServer()
		healthpb.RegisterHealthServer(g, w.status)
		w.serve("hello", healthpb.HealthCheckResponse_SERVING)
		l := w.net.Listen(podAddress)
		w.background(func(context.Context) { _ = g.Serve(l) }, g.Stop)
		w.startMesh()
		c, err := client.New(client.Config{
			Coordinator: "passthrough:///" + meshAddress, Credentials: insecure.NewCredentials(),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return w.net.Dial(ctx, meshAddress) })},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.background(func(ctx context.Context) {
			Run(ctx, Config{
				Mesh: c, Cluster: w.cluster, Log: slog.New(slog.NewTextHandler(w.log, nil)), Metrics: w.metrics,
				Source: "kube-test", NewPodsWhenBlind: plan.True,
			})
		}, func() {})
		test(w)
		slices.Reverse(w.stops)
		for _, stop := range w.stops {
			stop()
		}
		w.mesh()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// background runs f until the end of the test. stop is called before f's context ends.
func (w *world) background(f func(context.Context), stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); f(ctx) }()
	w.stops = append(w.stops, func() { stop(); cancel(); <-ended })
}

func (w *world) serve(name string, status healthpb.HealthCheckResponse_ServingStatus) {
	w.status.SetServingStatus(name, status)
}

// kept is a store that a coordinator cannot close.
type kept struct{ store.Store }

func (kept) Close() error { return nil }

func (w *world) startMesh() {
	w.t.Helper()
	c, err := coordinator.New(context.Background(), coordinator.Config{
		InsecureOpen: true, // the writer has no identity here, and removes what it has registered
		Listener:     w.net.Listen(meshAddress), HTTP: coordinator.Off, Store: kept{w.store},
		Dial: coordinator.Dial{Context: w.net.Dial}, Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	w.mesh = func() { w.net.Kill(meshAddress); cancel(); <-ended }
}

// settle lets time pass.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// lines keeps what was logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// pods is a cluster with Pods only. Tests of the package with the real API server are in compat.
type pods struct {
	mu      sync.Mutex
	version int
	objects map[string]map[string]any
	changed chan struct{} // closed with the next change
	fail    error
	writes  []string
}

// put adds or replaces a Pod. generation differs between Pods of one name. Pod a has the service.
func (p *pods) put(name string, generation int) {
	ip := fmt.Sprintf("10.0.0.%d", name[0]-'a'+1)
	text := fmt.Sprintf(`{
		"metadata": {"namespace": "default", "name": %q, "uid": "%s-%d", "labels": {"meshhealth.dev/follow": "import"},
			"annotations": {"meshhealth.dev/service": "hello", "meshhealth.dev/port": "9000"}},
		"spec": {"readinessGates": [{"conditionType": "meshhealth.dev/routable"}]},
		"status": {"podIP": %q, "podIPs": [{"ip": %q}]}}`, name, name, generation, ip, ip)
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(name, o)
}

func (p *pods) set(name string, o map[string]any) {
	p.version++
	if o == nil {
		delete(p.objects, name)
	} else {
		o["metadata"].(map[string]any)["resourceVersion"] = fmt.Sprint(p.version)
		p.objects[name] = o
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pods) delete(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(name, nil)
}

func (p *pods) broken(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// Follow implements Cluster. Every change is shown as a new list.
func (p *pods) Follow(ctx context.Context, _ plan.Kind, do func(cluster.Event)) {
	for {
		p.mu.Lock()
		e := cluster.Event{Kind: plan.Pod, Listed: true, Version: uint64(p.version)}
		for _, o := range p.objects {
			e.List = append(e.List, plan.PodOf(copyOf(o), "kube-test"))
		}
		changed := p.changed
		p.mu.Unlock()
		do(e)
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func copyOf(o map[string]any) map[string]any {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	var copied map[string]any
	if err := json.Unmarshal(text, &copied); err != nil {
		panic(err)
	}
	return copied
}

// Write implements Cluster.
func (p *pods) Write(_ context.Context, w plan.Write) (plan.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.objects[w.Name]
	switch {
	case p.fail != nil:
		return plan.Result{Write: w, Outcome: plan.Failed}, p.fail
	case o == nil || o["metadata"].(map[string]any)["uid"] != w.UID:
		return plan.Result{Write: w, Outcome: plan.Refused}, errors.New("no such Pod")
	}
	o = copyOf(o)
	o["status"].(map[string]any)["conditions"] = []any{map[string]any{"type": plan.Gate, "status": w.Value.Status, "reason": w.Value.Reason}}
	p.set(w.Name, o)
	p.writes = append(p.writes, w.Name+" "+w.Value.Status+" "+w.Value.Reason)
	return plan.Result{Write: w, Object: plan.PodOf(copyOf(o), "kube-test")}, nil
}

// Imported implements Cluster.
func (p *pods) Imported(_ context.Context, r *plan.Reference) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return false, p.fail
	}
	o := p.objects[r.Name]
	return o != nil && o["metadata"].(map[string]any)["uid"] == r.UID, nil
}

// wrote checks what was written since the last call.
func (w *world) wrote(want ...string) {
	w.t.Helper()
	w.cluster.mu.Lock()
	defer w.cluster.mu.Unlock()
	if !slices.Equal(w.cluster.writes, want) {
		w.t.Errorf("wrote %q; want %q", w.cluster.writes, want)
	}
	w.cluster.writes = nil
}

func (w *world) logged(part string, want int) {
	w.t.Helper()
	if got := w.log.count(part); got != want {
		w.t.Errorf("%q was logged %d times; want %d", part, got, want)
	}
}

func TestFollowsImportedPod(t *testing.T) {
	in(t, func(w *world) {
		w.cluster.put("a", 0)
		settle(5 * time.Second)
		w.wrote("a True Serving")
		w.serve("hello", healthpb.HealthCheckResponse_NOT_SERVING)
		settle(time.Second)
		w.wrote("a False NotServing")
		w.serve("hello", healthpb.HealthCheckResponse_SERVING)
		settle(10 * time.Second)
		w.wrote("a True Serving")
		if n := testutil.ToFloat64(w.metrics.leading); n != 1 {
			t.Errorf("leading is %v; want 1", n)
		}
		if w.metrics.Stuck(time.Now()) || !w.metrics.Stuck(time.Now().Add(time.Minute)) {
			t.Error("the loop turns every second, and is stuck only after 30 s without a turn")
		}
		w.cluster.delete("a")
		settle(10 * time.Second)
		w.wrote()
		w.logged("removed the registration of a Pod that is gone", 1)
		if n := testutil.ToFloat64(w.metrics.instances); n != 0 {
			t.Errorf("%v instances are left; want 0", n)
		}
	})
}

func TestRecreatedPodWaitsForItself(t *testing.T) {
	in(t, func(w *world) {
		w.cluster.put("a", 0)
		settle(5 * time.Second)
		w.wrote("a True Serving")
		w.net.Kill(podAddress) // the process ends with its Pod
		w.cluster.delete("a")
		w.cluster.put("a", 1)
		settle(10 * time.Minute)
		w.wrote("a False NotServing")
	})
}

func TestCoordinatorAway(t *testing.T) {
	in(t, func(w *world) {
		w.cluster.put("a", 0)
		settle(5 * time.Second)
		w.wrote("a True Serving")
		w.mesh()
		w.serve("hello", healthpb.HealthCheckResponse_NOT_SERVING)
		settle(30 * time.Second)
		w.cluster.put("b", 0)
		settle(20 * time.Second)
		w.wrote()
		settle(30 * time.Second)
		w.wrote("b True CoordinatorAway")
		settle(time.Hour)
		w.wrote()
		w.logged("the coordinator is away", 1)
		w.logged("new Pods are decided without it", 1)
		if n := testutil.ToFloat64(w.metrics.blind); n != 1 {
			t.Errorf("blind is %v; want 1", n)
		}
		w.startMesh()
		settle(time.Minute)
		w.logged("the coordinator is back", 1)
		w.cluster.mu.Lock()
		defer w.cluster.mu.Unlock()
		if !slices.Contains(w.cluster.writes, "a False NotServing") {
			t.Errorf("wrote %q after the return", w.cluster.writes)
		}
		w.cluster.writes = nil
	})
}

func TestAPIServerAway(t *testing.T) {
	in(t, func(w *world) {
		w.cluster.put("a", 0)
		settle(5 * time.Second)
		w.wrote("a True Serving")
		w.cluster.broken(errors.New("connection refused"))
		w.serve("hello", healthpb.HealthCheckResponse_NOT_SERVING)
		settle(20 * time.Second)
		w.logged("the API server does not accept writes", 1)
		w.cluster.broken(nil)
		settle(2 * time.Second)
		w.wrote("a False NotServing")
		w.logged("the API server accepts writes again", 1)
	})
}
