//go:build kube

package kubewriter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/compat/bed"
)

// gate is the condition type that the writer sets on Pods.
const gate = "meshhealth.dev/routable"

// rig is a bed with a coordinator.
type rig struct {
	*bed.Bed
	t           *testing.T
	coordinator *bed.Process
	mesh        string // address of the coordinator
	meshHTTP    string // address of its HTTP server
	account     *bed.Client
}

// start starts a bed and a coordinator, and creates the account of the writer with the rights of
// deploy/k8s.
func start(t *testing.T, o bed.Options) *rig {
	t.Helper()
	r := &rig{Bed: bed.Start(t, o), t: t, mesh: bed.FreePort(t), meshHTTP: bed.FreePort(t)}
	config := filepath.Join(r.Dir, "meshhealth.yaml")
	// The tests change statuses more often than flap damping permits, and do not wait for silence as
	// long as a user should.
	text := fmt.Sprintf(`
listen: %s
http: %s
data_dir: %s
insecure_open: true
targets: {allow: [127.0.0.0/8, 10.2.0.0/16]}
policy: {flap_half_life: off, unreachable_after: 3s, amnesty: 5s}
`, r.mesh, r.meshHTTP, filepath.Join(r.Dir, "mesh-data"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.coordinator = bed.Launch(t, bed.Command{
		Name: "coordinator", Path: program("meshhealth"), Dir: r.Dir,
		Args:  []string{"coordinator", "--config", config},
		Ready: answers("http://" + r.meshHTTP + "/livez"),
	})
	for _, file := range []string{"namespace.yaml", "kube.yaml"} {
		r.Admin.Apply(t, manifest(t, file))
	}
	if o.Istio {
		r.Admin.Apply(t, manifest(t, "kube-istio.yaml"))
	}
	r.account = r.ServiceAccount(t, "meshhealth", "meshhealth-kube")
	return r
}

// manifest returns a file of deploy/k8s, without Deployments: nothing could run their Pods.
func manifest(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../deploy/k8s", name))
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for part := range strings.SplitSeq(string(text), "\n---\n") {
		if !regexp.MustCompile(`(?m)^kind: (Deployment|StatefulSet|PodDisruptionBudget)$`).MatchString(part) {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "\n---\n")
}

func program(name string) string { return filepath.Join(os.Getenv(programsEnv), name) }

// writer is a process of meshhealth-kube.
type writer struct {
	*bed.Process
	t    *testing.T
	http string
}

// writer starts a writer. identity is its name in the lease.
func (r *rig) writer(identity string, args ...string) *writer {
	r.t.Helper()
	w := &writer{t: r.t, http: bed.FreePort(r.t)}
	w.Process = bed.Launch(r.t, bed.Command{
		Name: "writer-" + identity, Path: program("meshhealth-kube"), Dir: r.Dir,
		Args: append([]string{
			"--coordinator", r.mesh, "--kubeconfig", r.account.Kubeconfig(), "--identity", identity,
			"--http", w.http, "--log-format", "text", "--log-level", "debug", "--lease-duration", "4s",
		}, args...),
		Ready: answers("http://" + w.http + "/healthz"),
	})
	return w
}

// metric returns the sum of the series of a metric whose line begins with prefix.
func (w *writer) metric(prefix string) float64 {
	w.t.Helper()
	reply, err := http.Get("http://" + w.http + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for line := range bytes.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(string(line)), " "); ok && strings.HasPrefix(name, prefix) {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				w.t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// await waits until ok returns true. It asks every 20 ms, and the test fails after a minute.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("awaited %s in vain", what)
		}
	}
}

// answers returns a function that says why a URL does not answer with 200.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		reply, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", url, reply.Status)
		}
		return nil
	}
}

func podIP(i int) string { return fmt.Sprintf("10.2.%d.%d", 10+i/200, i%200+1) }

func podName(i int) string { return fmt.Sprintf("hello-%d", i) }

func podPath(i int) string { return "/api/v1/namespaces/default/pods/" + podName(i) }

// pod is a Pod with the gate. Its annotations and labels ask the writer to register it.
func pod(i int) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: %s
  labels: {app: hello, meshhealth.dev/follow: import}
  annotations:
    %s: %s
    meshhealth.dev/service: hello
    meshhealth.dev/port: "9000"
spec:
  nodeName: %s
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  readinessGates: [{conditionType: %s}]
  containers:
  - name: main
    image: none
    readinessProbe: {grpc: {port: 9000}, periodSeconds: 1, failureThreshold: 1}
`, podName(i), bed.PodIPAnnotation, podIP(i), bed.NodeName, gate)
}

// service is a process that a Pod stands for. It does not register.
func (r *rig) service(i int) *bed.Service {
	r.t.Helper()
	return r.Service(r.t, bed.ServiceOptions{Service: "hello", Instance: podName(i), Address: podIP(i) + ":9000"})
}

// next reads events until an object satisfies ok, and returns the event.
func next(t *testing.T, events <-chan bed.Event, what string, ok func(bed.Object) bool) bed.Event {
	t.Helper()
	timeout := time.After(time.Minute)
	var last bed.Event
	for {
		select {
		case e, open := <-events:
			if !open {
				t.Fatalf("awaited %s, and the watch ended", what)
			}
			if last = e; e.Type != "DELETED" && ok(e.Object) {
				return e
			}
		case <-timeout:
			text, _ := json.Marshal(last.Object["status"])
			t.Fatalf("awaited %s in vain; the last status was %.2000s", what, text)
		}
	}
}

// report prints the distribution of durations, and checks the median. The longest one depends on what else
// the machine does; it is checked against the time that istiod would take if somebody held it up.
func report(t *testing.T, what string, all []time.Duration, limit time.Duration) {
	t.Helper()
	const heldUp = 10 * time.Second
	slices.Sort(all)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d)/1e6) }
	median, longest := all[len(all)/2], all[len(all)-1]
	t.Logf("%s: p50 %s, max %s (n=%d)", what, ms(median), ms(longest), len(all))
	if median > limit || longest >= heldUp {
		t.Errorf("%s: p50 %s, max %s; allowed: p50 %s, max %s", what, ms(median), ms(longest), ms(limit), ms(heldUp))
	}
}
