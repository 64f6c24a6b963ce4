package plan

import (
	"net/netip"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// entry makes a WorkloadEntry with a condition of somebody else.
func (w *world) entry(change ...func(fields)) Key {
	key := Key{WorkloadEntry, "shop", "vm"}
	o := fields{
		"metadata": fields{
			"namespace": "shop", "name": "vm", "uid": "uid-vm", "labels": fields{Follow: FollowOnly}, "annotations": fields{},
		},
		"spec":   fields{"address": "10.1.0.1", "weight": 100.0},
		"status": fields{"conditions": []any{fields{"type": "Other", "status": "False", "lastProbeTime": "x"}}},
	}
	for _, c := range change {
		c(o)
	}
	w.put(key, o)
	return key
}

func onVM(route health.Route) *Instance {
	i := instance(9, 0, route)
	i.UID, i.Address = "", netip.MustParseAddr("10.1.0.1")
	return i
}

func TestEntryKeepsOthersConditions(t *testing.T) {
	w := newWorld(t)
	key := w.entry()
	w.snapshot(onVM(health.RouteHealthy))
	writes, _ := w.p.Next(w.now)
	// Somebody writes at the same time.
	o := clone(t, w.objects[key])
	o["status"].(fields)["conditions"] = []any{
		fields{"type": "Healthy", "status": "False"}, fields{"type": "New", "status": "True"}, fields{"type": "Healthy", "status": "True"},
	}
	w.store(key, o)
	r := w.apply(writes[0])
	if r.Outcome != Conflict {
		t.Fatalf("the outcome is %d; want a conflict", r.Outcome)
	}
	w.p.Done(r, w.now)
	w.run(time.Second)
	w.wrote("vm True Serving")
	all := w.object(key).Conditions
	if len(all) != 2 || all[0]["type"] != "Healthy" || all[0]["status"] != "True" || all[1]["type"] != "New" {
		t.Errorf("the conditions are %v", all)
	}
	// Another reason alone is not written.
	w.change(onVM(health.RouteDegraded))
	w.run(time.Hour)
	w.wrote()
}

func TestEntryWeight(t *testing.T) {
	label := func(value string) func(fields) {
		return func(o fields) { at(o, "metadata", "labels").(fields)[DegradedWeight] = value }
	}
	w := newWorld(t)
	key := w.entry(label("10"))
	w.snapshot(onVM(health.RouteHealthy))
	w.run(time.Second)
	w.wrote("vm True Serving")
	w.change(onVM(health.RouteDegraded))
	w.run(time.Second)
	w.wrote("vm weight 10 saved 100/10")
	// Out of traffic, the weight does not matter.
	w.change(onVM(health.RouteUnhealthy))
	w.run(time.Second)
	w.wrote("vm False NotServing")
	w.change(onVM(health.RouteHealthy))
	w.run(time.Second)
	w.wrote("vm True Serving", "vm weight 100 saved <nil>")

	// Another weight of a person, and another label, while it is DEGRADED.
	w.change(onVM(health.RouteDegraded))
	w.run(time.Second)
	o := clone(t, w.objects[key])
	o["spec"].(fields)["weight"] = 50.0
	w.put(key, o)
	w.run(time.Second)
	o = clone(t, w.objects[key])
	label("20")(o)
	w.put(key, o)
	w.run(time.Second)
	w.wrote("vm weight 10 saved 100/10", "vm weight 10 saved 50/10", "vm weight 20 saved 50/20")

	// A writer that has just started restores the weight.
	w.p = NewPlanner(w.now, True, "kube-test")
	w.p.Observe(w.object(key))
	w.run(time.Second)
	w.wrote()
	w.snapshot(onVM(health.RouteHealthy))
	w.run(time.Second)
	w.wrote("vm weight 50 saved <nil>")
}

func TestEntryWithoutWeight(t *testing.T) {
	w := newWorld(t)
	key := w.entry(func(o fields) {
		at(o, "metadata", "labels").(fields)[DegradedWeight] = "10"
		delete(o["spec"].(fields), "weight")
	})
	w.snapshot(onVM(health.RouteDegraded))
	w.run(time.Second)
	w.change(onVM(health.RouteHealthy))
	w.run(time.Second)
	w.wrote("vm True Degraded", "vm weight 10 saved 0/10", "vm weight <nil> saved <nil>")
	if o := w.object(key); o.Weight != 0 || o.Saved != nil {
		t.Errorf("the entry has the weight %d, saved %v", o.Weight, o.Saved)
	}
}

func TestParseWeights(t *testing.T) {
	for _, text := range []string{"", "1", "1/", "/1", "-1/2", "1/2/3", "99999999999/1", "a/b"} {
		if w := ParseWeights(text); w != nil {
			t.Errorf("%q: %v; want nil", text, w)
		}
	}
	if w := ParseWeights("100/10"); w == nil || w.String() != "100/10" {
		t.Errorf("100/10: %v", w)
	}
}
