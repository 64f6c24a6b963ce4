//go:build kube

package kubewriter_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/compat/bed"
	"github.com/meshhealth/meshhealth/health"
)

// TestThousandPods has 1,000 Pods that change together. There is no kubelet: the test sets the addresses
// of the Pods, and one process answers at all of them.
func TestThousandPods(t *testing.T) {
	const pods = 1000
	r := start(t, bed.Options{})
	process := r.Service(t, bed.ServiceOptions{Service: "hello", Instance: "all", Address: "0.0.0.0:9000"})
	r.createPods(pods)
	leader := r.writer("a")
	all := r.gates()
	all.await("True", pods)
	standby := r.writer("b")

	before, decided := leader.metric("meshhealth_kube_writes_total"), leader.metric("meshhealth_kube_decisions_total")
	began := time.Now()
	for _, status := range []health.Status{health.NotServing, health.Serving, health.NotServing, health.Serving} {
		process.Set(t, status)
		want := map[bool]string{true: "True", false: "False"}[status == health.Serving]
		all.await(want, pods)
	}
	await(t, "the answers to all writes", func() bool { return leader.metric("meshhealth_kube_writes_in_flight") == 0 })
	writes, decisions := leader.metric("meshhealth_kube_writes_total")-before, leader.metric("meshhealth_kube_decisions_total")-decided
	t.Logf("4 x %d transitions in %v: %.0f decisions, %.0f writes", pods, time.Since(began).Round(time.Millisecond), decisions, writes)
	if writes < 4*pods || writes > 1.1*4*pods {
		t.Errorf("%.0f writes for %d transitions; allowed: 1.0 to 1.1 each", writes, 4*pods)
	}
	r.apiServerGoes(process, pods)
	r.leaderGoes(process, leader, standby, pods)
}

// createPods creates Pods, and gives them addresses.
func (r *rig) createPods(n int) {
	r.t.Helper()
	var workers sync.WaitGroup
	work := make(chan int)
	fault := make(chan error, n)
	for range 8 {
		workers.Go(func() {
			for i := range work {
				if err := r.createPod(i); err != nil {
					fault <- err
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	workers.Wait()
	if len(fault) > 0 {
		r.t.Fatal(<-fault)
	}
}

func (r *rig) createPod(i int) error {
	for _, c := range []struct{ path, contentType, body string }{
		{podPath(i) + "?fieldManager=test&force=true", bed.ApplyPatch, pod(i)},
		{podPath(i) + "/status", bed.MergePatch, fmt.Sprintf(`{"status":{"podIP":%q,"podIPs":[{"ip":%q}],"phase":"Running"}}`, podIP(i), podIP(i))},
	} {
		status, answer, err := r.Admin.Do(r.t.Context(), http.MethodPatch, c.path, c.contentType, []byte(c.body))
		if err != nil || status/100 != 2 {
			return fmt.Errorf("PATCH %s: %d %.300s, %v", c.path, status, answer, err)
		}
	}
	return nil
}

const allPods = "/api/v1/namespaces/default/pods"

// gates follows the gates of all Pods.
type gates struct {
	r      *rig
	events <-chan bed.Event
	status map[string]string // by the name of the Pod
	number map[string]int    // Pods by status
	// changes is the number of changes of each Pod's gate after its first event.
	changes map[string]int
}

func (r *rig) gates() *gates {
	r.t.Helper()
	return &gates{
		r: r, events: r.Admin.Watch(r.t, allPods),
		status: map[string]string{}, number: map[string]int{}, changes: map[string]int{},
	}
}

func (g *gates) note(e bed.Event) {
	name, status := e.Object.Text("metadata", "name"), e.Object.ConditionStatus(gate)
	old, known := g.status[name]
	if known && old == status {
		return
	}
	if known {
		g.number[old]--
		g.changes[name]++
	}
	g.status[name] = status
	g.number[status]++
}

// await waits until n Pods have the gate with a status.
func (g *gates) await(status string, n int) {
	g.r.t.Helper()
	timeout := time.After(2 * time.Minute)
	for g.number[status] != n {
		select {
		case e, ok := <-g.events:
			if !ok { // an API server that has just started ends watches
				g.events = g.r.Admin.Watch(g.r.t, allPods)
				continue
			}
			g.note(e)
		case <-timeout:
			g.r.t.Fatalf("awaited %d gates %s in vain: %v", n, status, g.number)
		}
	}
}

// apiServerGoes changes the status several times while the API server is away. After that only the
// newest one is written.
func (r *rig) apiServerGoes(process *bed.Service, pods int) {
	t := r.t
	t.Helper()
	r.APIServer.Kill()
	began := time.Now()
	for i := range 4 {
		process.Set(t, []health.Status{health.NotServing, health.Serving}[i%2])
		time.Sleep(4 * time.Second)
	}
	process.Set(t, health.NotServing)
	time.Sleep(4 * time.Second)
	r.APIServer.Start()
	back := time.Now()
	all := r.gates()
	all.await("False", pods)
	changes := 0
	for _, n := range all.changes {
		changes += n
	}
	t.Logf("the API server was away for %v; %v later all gates have the newest status; %d changes seen",
		back.Sub(began).Round(time.Second), time.Since(back).Round(time.Millisecond), changes)
	if changes > pods {
		t.Errorf("the gates changed %d times after the outage; want at most 1 change of each of the %d", changes, pods)
	}
	process.Set(t, health.Serving)
	all.await("True", pods)
}

// leaderGoes kills the replica that leads.
func (r *rig) leaderGoes(process *bed.Service, a, b *writer, pods int) {
	t := r.t
	t.Helper()
	leader, standby := a, b
	if b.metric("meshhealth_kube_leading") == 1 {
		leader, standby = b, a
	}
	all := r.gates()
	all.await("True", pods)
	leader.Kill()
	began := time.Now()
	await(t, "the second writer", func() bool { return standby.metric("meshhealth_kube_leading") == 1 })
	t.Logf("the second writer leads after %v", time.Since(began).Round(time.Millisecond))
	for len(all.events) > 0 {
		all.note(<-all.events)
	}
	if len(all.changes) > 0 {
		t.Errorf("%d Pods lost their gates although nothing has happened", len(all.changes))
	}
	process.Set(t, health.NotServing)
	all.await("False", pods)
	t.Logf("all gates follow the second writer %v after the first was killed", time.Since(began).Round(time.Millisecond))
}
