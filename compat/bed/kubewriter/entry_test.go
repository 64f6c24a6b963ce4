//go:build kube

package kubewriter_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/compat/bed"
	"github.com/meshhealth/meshhealth/health"
)

const entryCluster = "outbound|9000||hello.shop.mesh"

func entryIP(i int) string { return fmt.Sprintf("10.2.1.%d", i+1) }

func entryAddress(i int) string { return entryIP(i) + ":9000" }

func entryPath(i int) string {
	return fmt.Sprintf("/apis/networking.istio.io/v1/namespaces/shop/workloadentries/hello-%d", i)
}

// mesh is a service hello.shop.mesh with three entries. The first has a weight for DEGRADED.
func mesh() string {
	text := `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {namespace: shop, name: hello}
spec:
  hosts: [hello.shop.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  workloadSelector: {labels: {app: hello}}
`
	for i := range 3 {
		labels := `app: hello, meshhealth.dev/follow: "true"`
		if i == 0 {
			labels += `, meshhealth.dev/degraded-weight: "1"`
		}
		text += fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  namespace: shop
  name: hello-%d
  labels: {%s}
  annotations: {proxy.istio.io/health-checks-enabled: "true"}
spec: {address: %s, weight: 10, labels: {app: hello}}
`, i, labels, entryIP(i))
	}
	return text
}

// entries starts a rig with the mesh, a process for each entry, and a writer.
func entries(t *testing.T) (*rig, []*bed.Service, *writer) {
	r := start(t, bed.Options{Istio: true, IstioEnv: []string{"PILOT_WORKLOAD_ENTRY_GRACE_PERIOD=2s"}})
	r.Admin.Apply(t, manifest(t, "kube-istio-weights.yaml"))
	r.Admin.Apply(t, mesh())
	var processes []*bed.Service
	for i := range 3 {
		processes = append(processes, r.Service(t, bed.ServiceOptions{
			Service: "hello", Instance: fmt.Sprint(i), Address: entryAddress(i), Coordinator: r.mesh,
		}))
	}
	return r, processes, r.writer("a", "--workload-entries")
}

// TestWorkloadEntry follows a status from the process through the coordinator, the writer and istiod to
// the calls of a client.
func TestWorkloadEntry(t *testing.T) {
	r, processes, _ := entries(t)
	endpoints := r.Endpoints(t, "shop", entryCluster)
	endpoints.Await(t, entryAddress(0), entryAddress(1), entryAddress(2))
	load := r.Load(t, r.Dial(t, "shop", "xds:///hello.shop.mesh:9000"), 4)
	for i := range 3 {
		load.Next(t, entryAddress(i))
	}
	r.flips(load, processes[2])
	r.degraded(load, processes[0])
	r.conditions()
	r.flapper(load, processes)
	r.coordinatorGoes(load)
	r.agent()
	calls, failed := load.Stop()
	t.Logf("calls: %v, failed: %d", calls, len(failed))
	if len(failed) > 0 {
		t.Errorf("%d calls failed, first %v", len(failed), failed[0])
	}
	r.allFail(processes)
}

// flips has a process that is NOT_SERVING and SERVING in turn.
func (r *rig) flips(load *bed.Load, process *bed.Service) {
	r.t.Helper()
	var out, in []time.Duration
	for range 10 {
		began := time.Now()
		process.Set(r.t, health.NotServing)
		out = append(out, load.Quiet(r.t, process.Address, 300*time.Millisecond).Sub(began))
		began = time.Now()
		process.Set(r.t, health.Serving)
		in = append(in, load.Next(r.t, process.Address).Sub(began))
	}
	report(r.t, "NOT_SERVING -> end of the last call", out, 500*time.Millisecond)
	report(r.t, "SERVING -> first call", in, 500*time.Millisecond)
}

// degraded has a process that is DEGRADED. It keeps its traffic, and its entry has another weight until
// it is SERVING.
func (r *rig) degraded(load *bed.Load, process *bed.Service) {
	t := r.t
	t.Helper()
	weight := func(want float64) func(bed.Object) bool {
		return func(o bed.Object) bool { return o.At("spec", "weight") == want }
	}
	process.Set(t, health.Degraded)
	o := r.Admin.Await(t, entryPath(0), "the weight 1", weight(1))
	if o.ConditionStatus("Healthy") != "True" || o.Text("metadata", "annotations", "meshhealth.dev/saved-weight") != "10/1" {
		t.Errorf("while DEGRADED, the entry is %v", o)
	}
	load.Next(t, process.Address)
	process.Set(t, health.Serving)
	o = r.Admin.Await(t, entryPath(0), "the weight 10", weight(10))
	if o.At("metadata", "annotations", "meshhealth.dev/saved-weight") != nil {
		t.Errorf("after DEGRADED, the entry is %v", o)
	}
}

// conditions removes and changes conditions as istiod and others do. They are back within 1 s, and those
// of others stay.
func (r *rig) conditions() {
	t := r.t
	t.Helper()
	events := r.Admin.Watch(t, entryPath(1))
	other := bed.Object{"type": "Other", "status": "False", "reason": "Mine"}
	var back []time.Duration
	for _, c := range [][]bed.Object{
		{other}, {other, {"type": "Healthy", "status": "False"}}, {{"type": "Healthy", "status": "False"}, other, {"type": "Healthy", "status": "True"}},
	} {
		r.Admin.Call(t, http.MethodPatch, entryPath(1)+"/status", bed.Object{"status": bed.Object{"conditions": c}})
		began := time.Now()
		next(t, events, "the change", func(o bed.Object) bool { return o.ConditionStatus("Healthy") != "True" })
		o := next(t, events, "the condition", bed.Condition("Healthy", "True"))
		back = append(back, o.At.Sub(began))
		if all, _ := o.Object.At("status", "conditions").([]any); len(all) != 2 || o.Object.ConditionStatus("Other") != "False" {
			t.Errorf("the conditions are %v; want Healthy and Other", all)
		}
	}
	report(t, "condition removed or changed -> back", back, time.Second)
}

// flapper has one process that flaps every 60 ms, and measures the changes of another one.
func (r *rig) flapper(load *bed.Load, processes []*bed.Service) {
	t := r.t
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(60 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-tick.C:
				if err := processes[1].Put(t.Context(), []health.Status{health.NotServing, health.Serving}[i%2]); err != nil {
					stopped <- err
					return
				}
			}
		}
	}()
	var out, in []time.Duration
	for range 6 {
		began := time.Now()
		processes[2].Set(t, health.NotServing)
		out = append(out, load.Quiet(t, processes[2].Address, 600*time.Millisecond).Sub(began))
		began = time.Now()
		processes[2].Set(t, health.Serving)
		in = append(in, load.Next(t, processes[2].Address).Sub(began))
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	processes[1].Set(t, health.Serving)
	report(t, "beside a flapper: NOT_SERVING -> end of the last call", out, 500*time.Millisecond)
	report(t, "beside a flapper: SERVING -> first call", in, 500*time.Millisecond)
	load.Next(t, processes[1].Address)
}

// coordinatorGoes kills, starts and pauses the coordinator. No entry leaves.
func (r *rig) coordinatorGoes(load *bed.Load) {
	t := r.t
	t.Helper()
	events := r.Admin.Watch(t, "/apis/networking.istio.io/v1/namespaces/shop/workloadentries")
	r.coordinator.Kill()
	time.Sleep(3 * time.Second)
	r.coordinator.Start()
	time.Sleep(7 * time.Second) // longer than the amnesty
	r.coordinator.Pause()
	time.Sleep(10 * time.Second)
	r.coordinator.Resume()
	time.Sleep(5 * time.Second)
	r.neverFalse(events, "while the coordinator came and went")
	for i := range 3 {
		load.Next(t, entryAddress(i))
	}
}

// neverFalse checks the events so far: no entry was out.
func (r *rig) neverFalse(events <-chan bed.Event, when string) {
	r.t.Helper()
	for {
		select {
		case e := <-events:
			if status := e.Object.ConditionStatus("Healthy"); status != "True" {
				r.t.Errorf("%s: Healthy of %s was %q at %v", when, e.Object.Text("metadata", "name"), status, e.At)
			}
		default:
			return
		}
	}
}

// allFail stops all processes, so that the coordinator reaches none of them. At least half of the entries
// stay. After that all processes say that they do not serve, and all entries leave.
func (r *rig) allFail(processes []*bed.Service) {
	t := r.t
	t.Helper()
	events := r.Admin.Watch(t, "/apis/networking.istio.io/v1/namespaces/shop/workloadentries")
	for _, p := range processes {
		p.Pause()
	}
	time.Sleep(15 * time.Second) // unreachable_after is 3 s
	status := map[string]string{}
	for len(events) > 0 {
		e := <-events
		status[e.Object.Text("metadata", "name")] = e.Object.ConditionStatus("Healthy")
		out := 0
		for _, s := range status {
			if s != "True" {
				out++
			}
		}
		if out > 1 {
			t.Errorf("no process is reached, and %d of 3 entries are out: %v", out, status)
		}
	}
	t.Logf("no process is reached: %v", status)
	for _, p := range processes {
		p.Resume()
	}
	for i, p := range processes {
		p.Set(t, health.NotServing)
		r.Admin.Await(t, entryPath(i), "Healthy False by the word of the process", bed.Condition("Healthy", "False"))
	}
	for i, p := range processes {
		p.Set(t, health.Serving)
		r.Admin.Await(t, entryPath(i), "Healthy True", bed.Condition("Healthy", "True"))
	}
}
