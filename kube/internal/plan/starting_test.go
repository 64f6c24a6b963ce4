package plan

import (
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// starting returns an instance as the coordinator shows it before there is evidence.
func starting(i *Instance) *Instance {
	s := *i
	s.Status, s.Cause, s.Route = health.Starting, health.CauseStarting, health.RouteUnhealthy
	return &s
}

// All Pods are Ready. The coordinator loses its store, and the writer registers them again.
func TestStoreLostPods(t *testing.T) {
	w := newWorld(t)
	var all, again []*Instance
	for n := 1; n <= 3; n++ {
		w.pod(n, 0)
		i := instance(n, 0, health.RouteHealthy)
		all, again = append(all, i), append(again, starting(i))
	}
	w.snapshot(all...)
	w.run(time.Second)
	w.writes = nil
	w.epoch++
	w.snapshot()
	w.run(time.Second)
	w.change(again...)
	w.run(10 * time.Minute)
	w.wrote()
	w.change(instance(1, 0, health.RouteUnhealthy))
	w.run(time.Second)
	w.wrote("hello-1 False NotServing")
	w.change(starting(all[0])) // and the other way round
	w.run(time.Second)
	w.wrote()
}

// A new Pod has no condition while it is STARTING, whatever its other instances do.
func TestNewPodStarting(t *testing.T) {
	w := newWorld(t)
	w.pod(1, 0)
	i := instance(1, 0, health.RouteHealthy)
	second := instance(1, 0, health.RouteHealthy)
	second.ID.Instance = "second"
	w.snapshot(starting(i), second)
	w.run(10 * time.Minute)
	w.wrote()
	if n := w.p.Stats().Undecided; n != 1 {
		t.Errorf("%d objects are undecided; want 1", n)
	}
	w.change(i)
	w.run(time.Second)
	w.wrote("hello-1 True Serving")
	w.change(starting(i)) // the container has restarted
	w.run(time.Second)
	w.wrote()
	second.Route, second.Status = health.RouteUnhealthy, health.NotServing
	w.change(second)
	w.run(time.Second)
	w.wrote("hello-1 False NotServing")
}

// A STARTING instance at the endpoint of another one does not count.
func TestStartingDuplicate(t *testing.T) {
	w := newWorld(t)
	w.pod(1, 0)
	twin := starting(instance(1, 0, health.RouteHealthy))
	twin.ID.Instance, twin.Route = "twin", health.RouteDuplicate
	w.snapshot(instance(1, 0, health.RouteHealthy), twin)
	w.run(time.Second)
	w.wrote("hello-1 True Serving")
}

// An entry has no kubelet. It becomes False when its process has restarted, but not because the
// coordinator has.
func TestEntryStarting(t *testing.T) {
	up := onVM(health.RouteHealthy)
	for what, c := range map[string]struct {
		then func(w *world)
		want []string
	}{
		"process has restarted":     {func(w *world) { w.change(starting(up)) }, []string{"vm False NotServing"}},
		"connection was lost":       {func(w *world) { w.snapshot(starting(up)) }, []string{"vm False NotServing"}},
		"coordinator lost it":       {func(w *world) { w.epoch++; w.snapshot(); w.change(starting(up)) }, nil},
		"lost and registered":       {func(w *world) { w.epoch++; w.snapshot(starting(up)) }, nil},
		"registered again":          {func(w *world) { w.p.Mesh(Update{Removed: []health.ID{up.ID}}); w.change(starting(up)) }, nil},
		"lost, heard and restarted": {func(w *world) { w.epoch++; w.snapshot(up); w.change(starting(up)) }, []string{"vm False NotServing"}},
		"lost and in amnesty": {func(w *world) {
			unknown := starting(up)
			unknown.Route = health.RouteNone
			w.epoch++
			w.snapshot(unknown)
			w.change(starting(up))
		}, nil},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.entry()
			w.snapshot(starting(up))
			w.run(time.Second)
			w.wrote()
			w.change(up)
			w.run(time.Second)
			w.wrote("vm True Serving")
			c.then(w)
			w.run(10 * time.Minute)
			w.wrote(c.want...)
		})
	}
}
