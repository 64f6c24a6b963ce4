//go:build kube

// Package istio checks the coordinator with the delta client of Istio, which is independent of this
// project. The module also builds istiod for other tests.
package istio

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"istio.io/istio/pkg/adsc"
	"istio.io/istio/pkg/backoff"
)

// patience is how long anything may take here before the test fails.
const patience = 2 * time.Minute

// coordinator is a process of the command `meshhealth coordinator`.
type coordinator struct {
	t        *testing.T
	program  string
	dir, at  string
	instance string // HOST:PORT of a health server, at which all instances are registered
	process  *exec.Cmd
}

func startCoordinator(t *testing.T) *coordinator {
	t.Helper()
	dir := t.TempDir()
	c := &coordinator{t: t, program: filepath.Join(dir, "meshhealth"), dir: dir, at: "127.0.0.1:0", instance: serveHealth(t)}
	build := exec.Command("go", "build", "-C", "../..", "-o", c.program, "./cmd/meshhealth")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	c.start()
	t.Cleanup(c.kill)
	return c
}

func serveHealth(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	healthpb.RegisterHealthServer(g, health.NewServer())
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	return l.Addr().String()
}

// start starts the process, and waits until it listens. After a kill it has the same address as before.
func (c *coordinator) start() {
	c.t.Helper()
	c.process = exec.Command(c.program, "coordinator", "--listen", c.at, "--http", "off", "--data-dir", filepath.Join(c.dir, "data"))
	log, err := c.process.StderrPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.process.Start(); err != nil {
		c.t.Fatal(err)
	}
	at := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var record struct{ GRPC string }
			if json.Unmarshal(lines.Bytes(), &record) == nil && record.GRPC != "" {
				at <- record.GRPC
			}
		}
	}()
	select {
	case c.at = <-at:
	case <-time.After(patience):
		c.t.Fatal("the coordinator does not listen")
	}
}

func (c *coordinator) kill() {
	_ = c.process.Process.Kill()
	_ = c.process.Wait()
}

func (c *coordinator) run(args ...string) {
	c.t.Helper()
	cmd := exec.Command(c.program, append(args, "--coordinator", c.at)...)
	cmd.Env = append(os.Environ(), "USER=ann")
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// register registers an instance of a service.
func (c *coordinator) register(name string, flags ...string) {
	c.t.Helper()
	c.run(append([]string{"register", name, "--address", c.instance}, flags...)...)
}

// watcher is a delta client, and what it has been told.
type watcher struct {
	t *testing.T

	mu       sync.Mutex
	clusters []string          // the clusters that exist, sorted
	sets     map[string]string // the statuses of the endpoints of each service
	sent     map[string]int    // the number of endpoint sets that came for each service
	wants    func(cluster string) (sets []string)
}

// startWatcher starts a client that watches one cluster, or all if it is "*". For each cluster it
// subscribes to the endpoint sets that wants returns.
func startWatcher(t *testing.T, at, cluster string, wants func(string) []string, more ...adsc.Option) *watcher {
	t.Helper()
	w := &watcher{t: t, sets: map[string]string{}, sent: map[string]int{}, wants: wants}
	policy := backoff.NewExponentialBackOff(backoff.Option{InitialInterval: 50 * time.Millisecond, MaxInterval: time.Second})
	client := adsc.NewDeltaWithBackoffPolicy(at, &adsc.DeltaADSConfig{}, policy,
		append(more, adsc.Register(w.onCluster), adsc.Register(w.onSet), adsc.Watch[*clusterpb.Cluster](cluster))...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		client.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

func (w *watcher) onCluster(ctx adsc.HandlerContext, name, _ string, _ *clusterpb.Cluster, event adsc.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clusters = slices.DeleteFunc(w.clusters, func(other string) bool { return other == name })
	if event == adsc.EventAdd {
		w.clusters = append(w.clusters, name)
		slices.Sort(w.clusters)
		ctx.RegisterDependency("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", w.wants(name)...)
	}
}

func (w *watcher) onSet(_ adsc.HandlerContext, name, _ string, set *endpointpb.ClusterLoadAssignment, event adsc.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent[name]++
	delete(w.sets, name)
	if event == adsc.EventAdd {
		var all []string
		for _, l := range set.GetEndpoints() {
			for _, e := range l.GetLbEndpoints() {
				all = append(all, e.GetHealthStatus().String())
			}
		}
		w.sets[name] = strings.Join(all, " ")
	}
}

// String returns what the client knows, such as "clusters [pay], sets map[pay:HEALTHY]".
func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("clusters %v, sets %v", w.clusters, w.sets)
}

// until waits until the client knows what want says.
func (w *watcher) until(want string) {
	w.t.Helper()
	for late := time.Now().Add(patience); w.String() != want; {
		if time.Now().After(late) {
			w.t.Fatalf("%s, want %s", w, want)
		}
	}
	w.t.Log(want)
}

func (w *watcher) received(service string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[service]
}

func itself(cluster string) []string { return []string{cluster} }

// TestDeltaWildcard watches all clusters. Services come and go.
func TestDeltaWildcard(t *testing.T) {
	c := startCoordinator(t)
	c.register("pay/a")
	w := startWatcher(t, c.at, "*", itself)
	w.until("clusters [pay], sets map[pay:HEALTHY]")
	c.register("mail/a")
	w.until("clusters [mail pay], sets map[mail:HEALTHY pay:HEALTHY]")
	c.run("override", "set", "pay/a", "DEGRADED", "--reason", "test", "--for", "1h")
	w.until("clusters [mail pay], sets map[mail:HEALTHY pay:DEGRADED]")
	c.run("deregister", "mail/a")
	w.until("clusters [pay], sets map[mail: pay:DEGRADED]")
	c.register("mail/a")
	w.until("clusters [mail pay], sets map[mail:HEALTHY pay:DEGRADED]")
}

// TestDeltaReconnect kills the coordinator. After a reconnection the client of Istio repeats only the
// subscriptions with which it has started, so it starts with those to endpoint sets.
func TestDeltaReconnect(t *testing.T) {
	c := startCoordinator(t)
	c.register("pay/a")
	none := func(string) []string { return nil }
	w := startWatcher(t, c.at, "*", none, adsc.Watch[*endpointpb.ClusterLoadAssignment]("pay"))
	w.until("clusters [pay], sets map[pay:HEALTHY]")
	c.kill()
	c.start()
	c.run("override", "set", "pay/a", "DEGRADED", "--reason", "test", "--for", "1h")
	w.until("clusters [pay], sets map[pay:DEGRADED]")
	c.register("mail/a")
	w.until("clusters [mail pay], sets map[pay:DEGRADED]")
}

// TestDeltaUnsubscribe watches one cluster, and replaces the endpoint set to which it subscribes. After
// that the client gets nothing of the old one.
func TestDeltaUnsubscribe(t *testing.T) {
	c := startCoordinator(t)
	c.register("pay/a")
	c.register("mail/a")
	next := make(chan string, 2) // the sets for each version of the cluster
	next <- "pay"
	next <- "mail"
	w := startWatcher(t, c.at, "pay", func(string) []string { return []string{<-next} })
	w.until("clusters [pay], sets map[pay:HEALTHY]")
	c.register("pay/a", "--tls-name", "pay.example") // changes the cluster
	w.until("clusters [pay], sets map[mail:HEALTHY pay:HEALTHY]")
	before := w.received("pay")
	c.run("override", "set", "pay/a", "MAINTENANCE", "--reason", "test", "--for", "1h")
	c.run("override", "set", "mail/a", "MAINTENANCE", "--reason", "test", "--for", "1h")
	w.until("clusters [pay], sets map[mail:DRAINING pay:HEALTHY]")
	if n := w.received("pay"); n != before {
		t.Errorf("%d endpoint sets of pay came after the end of the subscription", n-before)
	}
}
