package plan

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a planner with a clock, and with an API server that keeps what is written.
type world struct {
	t       *testing.T
	p       *Planner
	now     time.Time
	version uint64
	objects map[Key]fields
	writes  []string // what was written, such as "hello-0 True Serving"
	away    bool     // true if the coordinator sends nothing
	epoch   uint64   // of the coordinator
}

func newWorld(t *testing.T) *world {
	return &world{t: t, p: NewPlanner(start, True, "kube-test"), now: start, objects: map[Key]fields{}}
}

// pod makes a Pod as the API server has it. n is the number in its name, and generation differs between
// Pods with one name.
func (w *world) pod(n, generation int, change ...func(fields)) Key {
	key := Key{Pod, "default", fmt.Sprintf("hello-%d", n)}
	ip := fmt.Sprintf("10.0.0.%d", n)
	pod := fields{
		"metadata": fields{
			"namespace": key.Namespace, "name": key.Name, "uid": uid(n, generation),
			"labels": fields{Follow: FollowOnly}, "annotations": fields{},
		},
		"spec":   fields{"readinessGates": []any{fields{"conditionType": Gate}}},
		"status": fields{"podIP": ip, "podIPs": []any{fields{"ip": ip}}},
	}
	for _, c := range change {
		c(pod)
	}
	w.put(key, pod)
	return key
}

func uid(n, generation int) string { return fmt.Sprintf("uid-%d-%d", n, generation) }

// put stores an object, and shows it to the planner.
func (w *world) put(key Key, o fields) {
	w.store(key, o)
	w.p.Observe(w.object(key))
}

func (w *world) store(key Key, o fields) {
	w.version++
	o["metadata"].(fields)["resourceVersion"] = fmt.Sprint(w.version)
	w.objects[key] = o
}

func (w *world) object(key Key) *Object {
	copied := clone(w.t, w.objects[key])
	if key.Kind == WorkloadEntry {
		return EntryOf(copied)
	}
	return PodOf(copied, "kube-test")
}

func clone(t *testing.T, o fields) fields {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var copied fields
	if err := json.Unmarshal(text, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}

// delete deletes an object, and shows this to the planner.
func (w *world) delete(key Key) {
	delete(w.objects, key)
	w.version++
	w.p.Forget(key, w.version)
}

// instance makes an instance with the UID of a Pod.
func instance(n, generation int, route health.Route) *Instance {
	i := &Instance{
		ID: health.ID{Service: "hello", Instance: fmt.Sprintf("i%d", n)}, Route: route, UID: uid(n, generation),
		Spec: &health.Spec{Labels: map[string]string{LabelUID: uid(n, generation)}},
	}
	i.Status = map[health.Route]health.Status{
		health.RouteHealthy: health.Serving, health.RouteDegraded: health.Degraded, health.RouteUnhealthy: health.NotServing,
		health.RouteDraining: health.Draining,
	}[route]
	return i
}

// snapshot shows a complete snapshot with these instances.
func (w *world) snapshot(all ...*Instance) {
	w.p.Heard(w.now)
	w.p.Mesh(Update{Epoch: w.epoch, Snapshot: true, SnapshotEnd: true, Gap: true, Instances: all})
}

func (w *world) change(all ...*Instance) {
	w.p.Heard(w.now)
	w.p.Mesh(Update{Epoch: w.epoch, Instances: all})
}

// run lets time pass. Every write succeeds at once.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	until := w.now.Add(d)
	for {
		if !w.away {
			w.p.Heard(w.now)
		}
		writes, wake := w.p.Next(w.now)
		for _, write := range writes {
			w.p.Done(w.apply(write), w.now)
		}
		if len(writes) > 0 {
			continue
		}
		if !wake.After(until) && !wake.IsZero() {
			w.now = wake
			continue
		}
		w.now = until
		return
	}
}

// apply does what the API server does with a patch.
func (w *world) apply(write Write) Result {
	w.t.Helper()
	o := w.objects[write.Key]
	if o == nil {
		return Result{Write: write, Outcome: Refused}
	}
	var patch fields
	if err := json.Unmarshal(write.Body, &patch); err != nil {
		w.t.Fatal(err)
	}
	meta := patch["metadata"].(fields)
	if meta["uid"] != textAt(o, "metadata", "uid") {
		return Result{Write: write, Outcome: Refused}
	}
	if v, guarded := meta["resourceVersion"]; guarded && v != textAt(o, "metadata", "resourceVersion") {
		return Result{Write: write, Outcome: Conflict, Object: w.object(write.Key)}
	}
	o = clone(w.t, o)
	if write.Status {
		w.applyStatus(o, patch, write)
		w.writes = append(w.writes, fmt.Sprintf("%s %s %s", write.Name, write.Value.Status, write.Value.Reason))
	} else {
		merge(o["metadata"].(fields)["annotations"].(fields), meta["annotations"].(fields))
		merge(o["spec"].(fields), patch["spec"].(fields))
		w.writes = append(w.writes, fmt.Sprintf("%s weight %v saved %v", write.Name, at(o, "spec", "weight"), at(o, "metadata", "annotations", SavedWeight)))
	}
	w.store(write.Key, o)
	return Result{Write: write, Object: w.object(write.Key)}
}

func (w *world) applyStatus(o, patch fields, write Write) {
	conditions := listAt(patch, "status", "conditions")
	if write.Strategic {
		kept := slices.DeleteFunc(listAt(o, "status", "conditions"), func(c fields) bool { return c["type"] == Gate })
		conditions = append(kept, conditions...)
	}
	list := []any{}
	for _, c := range conditions {
		list = append(list, c)
	}
	if o["status"] == nil {
		o["status"] = fields{}
	}
	o["status"].(fields)["conditions"] = list
}

func merge(into, patch fields) {
	for name, v := range patch {
		if v == nil {
			delete(into, name)
		} else {
			into[name] = v
		}
	}
}

// wrote checks what was written since the last call.
func (w *world) wrote(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.writes, want) {
		w.t.Errorf("wrote %q; want %q", w.writes, want)
	}
	w.writes = nil
}

func TestDecide(t *testing.T) {
	const h, d, u, dr, n, dup = health.RouteHealthy, health.RouteDegraded, health.RouteUnhealthy, health.RouteDraining, health.RouteNone, health.RouteDuplicate
	for _, c := range []struct {
		routes []health.Route
		want   string
	}{
		{nil, ""},
		{[]health.Route{n}, ""},
		{[]health.Route{dup}, ""},
		{[]health.Route{h}, "True Serving"},
		{[]health.Route{d}, "True Degraded"},
		{[]health.Route{u}, "False NotServing"},
		{[]health.Route{dr}, "False Draining"},
		{[]health.Route{h, h, d}, "True Degraded"},
		{[]health.Route{h, n}, ""},
		{[]health.Route{u, n}, "False NotServing"},
		{[]health.Route{h, dup}, "True Serving"},
		{[]health.Route{h, dr, u}, "False NotServing"},
		{[]health.Route{d, dr}, "False Draining"},
	} {
		var all []*Instance
		for i, route := range c.routes {
			all = append(all, instance(i, 0, route))
		}
		decided := decide(Pod, all, nil)
		got := ""
		if decided.known {
			got = decided.value.Status + " " + decided.value.Reason
		}
		if got != c.want || decided.degraded != (c.want == "True Degraded") {
			t.Errorf("%v: %q, degraded %t; want %q", c.routes, got, decided.degraded, c.want)
		}
	}
}

func TestGateFollowsRoute(t *testing.T) {
	w := newWorld(t)
	key := w.pod(1, 0)
	w.run(time.Second)
	w.wrote() // nothing is known
	w.snapshot(instance(1, 0, health.RouteHealthy))
	w.run(time.Second)
	w.wrote("hello-1 True Serving")
	w.change(instance(1, 0, health.RouteDegraded))
	w.run(time.Second)
	w.wrote("hello-1 True Degraded")
	w.change(instance(1, 0, health.RouteUnhealthy))
	w.run(time.Second)
	w.wrote("hello-1 False NotServing")
	w.p.Mesh(Update{Removed: []health.ID{{Service: "hello", Instance: "i1"}}})
	w.run(10 * time.Minute)
	w.wrote() // the last value stays
	if c, _ := w.object(key).condition(); !strings.Contains(c.Message, "hello/i1 is NOT_SERVING") {
		t.Errorf("the message is %q", c.Message)
	}
}

// A Pod without the gate, and an instance of another Pod, cause no write.
func TestOthersAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.pod(1, 0, func(o fields) { o["spec"] = fields{} })
	w.pod(2, 1)
	w.snapshot(instance(1, 0, health.RouteHealthy), instance(2, 0, health.RouteHealthy))
	w.run(10 * time.Minute)
	w.wrote()
}

func TestInstanceBelongsByAddress(t *testing.T) {
	w := newWorld(t)
	w.pod(1, 0)
	w.pod(2, 0, func(o fields) { at(o, "metadata", "annotations").(fields)[Service] = "other" })
	w.pod(3, 0, func(o fields) { o["spec"].(fields)["hostNetwork"] = true })
	var all []*Instance
	for n := range 4 {
		i := instance(n, 0, health.RouteHealthy)
		i.UID, i.Address = "", netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
		all = append(all, i)
	}
	w.snapshot(all...)
	w.run(time.Second)
	w.wrote("hello-1 True Serving")
}

// Nothing is written before the end of the first snapshot, and an empty or unfinished one takes nothing
// out.
func TestSnapshots(t *testing.T) {
	w := newWorld(t)
	w.pod(1, 0)
	other := instance(1, 0, health.RouteUnhealthy)
	other.ID.Instance = "second"
	w.p.Mesh(Update{Snapshot: true, Instances: []*Instance{instance(1, 0, health.RouteHealthy)}})
	w.run(time.Second)
	w.wrote()
	w.p.Mesh(Update{Snapshot: true, SnapshotEnd: true, Instances: []*Instance{other}})
	w.run(time.Second)
	w.wrote("hello-1 False NotServing")
	w.change(func() *Instance { o := *other; o.Route = health.RouteHealthy; return &o }())
	w.run(time.Second)
	w.wrote("hello-1 True Serving")

	w.p.Mesh(Update{Stale: true})
	w.snapshot() // an empty coordinator
	w.run(time.Hour)
	w.wrote()
	// A snapshot that was interrupted begins again: what its first parts had does not count.
	w.p.Mesh(Update{Snapshot: true, Gap: true, Instances: []*Instance{instance(1, 0, health.RouteHealthy)}})
	w.p.Mesh(Update{Stale: true})
	w.p.Mesh(Update{Snapshot: true, SnapshotEnd: true, Instances: []*Instance{other}})
	if got := w.p.Stats().Instances; got != 1 {
		t.Errorf("%d instances are known; want 1", got)
	}
	w.run(time.Second)
	w.wrote("hello-1 False NotServing")
}

func TestNewestWins(t *testing.T) {
	w := newWorld(t)
	w.pod(1, 0)
	w.snapshot(instance(1, 0, health.RouteHealthy))
	writes, _ := w.p.Next(w.now)
	if len(writes) != 1 {
		t.Fatalf("%d writes; want 1", len(writes))
	}
	for range 5 { // while the write is under way
		w.change(instance(1, 0, health.RouteUnhealthy))
		w.change(instance(1, 0, health.RouteHealthy))
		if more, _ := w.p.Next(w.now.Add(time.Hour)); len(more) > 0 {
			t.Fatal("a second write began beside the first")
		}
	}
	w.change(instance(1, 0, health.RouteUnhealthy))
	w.p.Done(w.apply(writes[0]), w.now)
	w.run(time.Second)
	w.wrote("hello-1 True Serving", "hello-1 False NotServing")
}

func TestBursts(t *testing.T) {
	const pods = 100
	w := newWorld(t)
	var all []*Instance
	for n := range pods {
		w.pod(n, 0)
		all = append(all, instance(n, 0, health.RouteHealthy))
	}
	w.snapshot(all...)
	writes, _ := w.p.Next(w.now)
	if len(writes) != MaxInFlight {
		t.Fatalf("%d writes in flight; want %d", len(writes), MaxInFlight)
	}
	// A change of an object that is being written waits for the next burst. An object that was not
	// written yet gets its newest state.
	var flying, waiting int
	fmt.Sscanf(writes[0].Name, "hello-%d", &flying)
	for slices.ContainsFunc(writes, func(write Write) bool { return write.Name == fmt.Sprintf("hello-%d", waiting) }) {
		waiting++
	}
	w.change(instance(flying, 0, health.RouteUnhealthy), instance(waiting, 0, health.RouteUnhealthy))
	for done := 0; done < pods; done++ {
		write := writes[done]
		w.p.Done(w.apply(write), w.now)
		more, _ := w.p.Next(w.now)
		writes = append(writes, more...)
	}
	if len(writes) != pods {
		t.Errorf("the burst has %d writes; want %d", len(writes), pods)
	}
	if _, wake := w.p.Next(w.now); !wake.Equal(w.now.Add(Gap)) {
		t.Errorf("the next burst is in %v; want %v", wake.Sub(w.now), Gap)
	}
	if !slices.Contains(w.writes, fmt.Sprintf("hello-%d False NotServing", waiting)) {
		t.Errorf("hello-%d did not get its newest state", waiting)
	}
	w.writes = nil
	w.run(Gap - 1)
	w.wrote()
	w.run(1)
	w.wrote(fmt.Sprintf("hello-%d False NotServing", flying))
}

// A condition that somebody removes or changes is written again, also while nothing is known.
func TestAsserts(t *testing.T) {
	w := newWorld(t)
	key := w.pod(1, 0)
	w.snapshot(instance(1, 0, health.RouteHealthy))
	w.run(time.Second)
	w.snapshot()
	w.wrote("hello-1 True Serving")
	for _, conditions := range [][]any{nil, {fields{"type": Gate, "status": "False"}}, {fields{"type": Gate, "status": "True", "reason": "Other"}}} {
		o := clone(t, w.objects[key])
		o["status"].(fields)["conditions"] = conditions
		w.put(key, o)
		w.run(Gap)
		w.wrote("hello-1 True Serving")
	}
	// A change that no event has shown is found by the next comparison.
	o := clone(t, w.objects[key])
	w.version++
	w.p.objects[key].Object = PodOf(func() fields { o["status"].(fields)["conditions"] = nil; return o }(), "")
	w.run(AssertEvery)
	w.wrote("hello-1 True Serving")
}

// After the start of a writer, a condition is kept although nothing is known, and is restored if it is
// removed.
func TestAdopts(t *testing.T) {
	w := newWorld(t)
	key := w.pod(1, 0, func(o fields) {
		o["status"].(fields)["conditions"] = []any{fields{"type": Gate, "status": "False", "reason": "Draining"}}
	})
	w.snapshot()
	w.run(time.Hour)
	w.wrote()
	o := clone(t, w.objects[key])
	o["status"].(fields)["conditions"] = nil
	w.put(key, o)
	w.run(time.Second)
	w.wrote("hello-1 False Draining")
}

func TestBlind(t *testing.T) {
	w := newWorld(t)
	w.pod(1, 0)
	w.snapshot(instance(1, 0, health.RouteUnhealthy))
	w.run(time.Second)
	w.wrote("hello-1 False NotServing")
	w.pod(2, 0)
	w.p.Mesh(Update{Stale: true})
	w.away = true
	w.run(BlindAfter - 2*time.Second)
	w.wrote()
	w.run(time.Second)
	w.wrote("hello-2 True CoordinatorAway") // a new Pod that waited
	w.pod(3, 0)
	w.run(time.Second)
	w.wrote("hello-3 True CoordinatorAway")
	w.pod(1, 0)
	w.run(time.Hour)
	w.wrote("hello-1 False NotServing") // put without a condition; what is known stays
	if !w.p.Blind() {
		t.Error("the planner is not blind")
	}
	w.snapshot(instance(2, 0, health.RouteUnhealthy), instance(3, 0, health.RouteNone))
	w.pod(4, 0)
	w.run(time.Second)
	w.wrote("hello-2 False NotServing")
}

// A Pod that was created again under the same name never gets the state of the earlier one.
func TestRecreated(t *testing.T) {
	w := newWorld(t)
	key := w.pod(1, 0)
	w.snapshot(instance(1, 0, health.RouteHealthy))
	writes, _ := w.p.Next(w.now)
	w.delete(key)
	w.pod(1, 1)
	r := w.apply(writes[0])
	if r.Outcome != Refused {
		t.Fatalf("the write for the earlier Pod has the outcome %d", r.Outcome)
	}
	w.p.Done(r, w.now)
	w.run(time.Hour)
	w.wrote()
	w.change(instance(1, 1, health.RouteUnhealthy))
	w.run(time.Second)
	w.wrote("hello-1 False NotServing")
}

// An event that is older than the answer to a write does not count.
func TestLateEvents(t *testing.T) {
	w := newWorld(t)
	key := w.pod(1, 0)
	old := w.object(key)
	w.snapshot(instance(1, 0, health.RouteHealthy))
	w.run(time.Second)
	w.p.Observe(old)
	w.p.Forget(key, old.Version)
	w.p.Replace(Pod, nil, old.Version)
	w.run(time.Second)
	w.wrote("hello-1 True Serving")
	if got := w.p.Stats().Objects[Pod]; got != 1 {
		t.Errorf("%d Pods are known; want 1", got)
	}
	w.p.Replace(Pod, nil, w.version+1)
	if got := w.p.Stats().Objects[Pod]; got != 0 {
		t.Errorf("%d Pods are known; want 0", got)
	}
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		outcome      Outcome
		pause, again time.Duration
	}{
		{Failed, 0, Gap},
		{Throttled, 7 * time.Second, 7 * time.Second},
		{Throttled, time.Hour, maxPause},
		{Throttled, 0, time.Second},
		{Refused, 0, AssertEvery},
	} {
		w := newWorld(t)
		w.pod(1, 0)
		w.snapshot(instance(1, 0, health.RouteHealthy))
		writes, _ := w.p.Next(w.now)
		w.p.Done(Result{Write: writes[0], Outcome: c.outcome, Pause: c.pause}, w.now)
		w.run(c.again - 1)
		w.wrote()
		w.run(1)
		w.wrote("hello-1 True Serving")
	}
}

// While the API server is away, attempts become rarer, and only the newest state is written later.
func TestAPIServerAway(t *testing.T) {
	w := newWorld(t)
	w.pod(1, 0)
	w.snapshot(instance(1, 0, health.RouteHealthy))
	attempts := 0
	for until := w.now.Add(20 * time.Second); w.now.Before(until); w.now = w.now.Add(10 * time.Millisecond) {
		w.change(instance(1, 0, []health.Route{health.RouteHealthy, health.RouteUnhealthy}[attempts%2]))
		writes, _ := w.p.Next(w.now)
		for _, write := range writes {
			attempts++
			w.p.Done(Result{Write: write, Outcome: Failed}, w.now)
		}
	}
	if attempts < 10 || attempts > 14 {
		t.Errorf("%d attempts in 20 s", attempts)
	}
	w.change(instance(1, 0, health.RouteUnhealthy))
	w.run(maxBackoff)
	w.wrote("hello-1 False NotServing")
}
