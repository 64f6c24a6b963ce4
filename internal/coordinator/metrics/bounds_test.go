package metrics

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// seriesPer is how many series one instance in Starting has of its own.
var seriesPer = len(health.Statuses())

func (r *rig) count(name string) int {
	r.t.Helper()
	n, err := testutil.GatherAndCount(r.registry, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// many registers n instances of one service.
func many(service string, n int) []mesh.Event {
	var events []mesh.Event
	for i := range n {
		events = append(events, register(fmt.Sprintf("%s/%05d", service, i)))
	}
	return events
}

func TestBound(t *testing.T) {
	for _, c := range []struct{ n, most, series, omitted int }{
		{5000, 0, 2000, 3000},
		{5000, 100, 100, 4900},
		{5000, -1, 0, 5000},
		{50, 49, 49, 1},
		{50, 50, 50, 0},
		{50, 51, 50, 0},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.most, c.n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.run(Config{MaxInstances: c.most})
				r.apply(many("pay", c.n)...)
				if got := r.count("meshhealth_instance_state"); got != c.series*seriesPer {
					t.Errorf("%d state series, want %d", got, c.series*seriesPer)
				}
				r.is(fmt.Sprint("meshhealth_instance_series_omitted ", c.omitted), "meshhealth_instance_series_omitted")
				r.is(states("meshhealth_service_instances", `service="pay"`, map[health.Status]int{health.Starting: c.n}), "meshhealth_service_instances")
			})
		})
	}
}

// TestBoundIsDeterministic: the first by name are shown, in whatever order they
// came; a removal lets the next one in.
func TestBoundIsDeterministic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{MaxInstances: 2})
		shown := func(names ...string) {
			t.Helper()
			want := ""
			for _, name := range names {
				labels := fmt.Sprintf("instance=%q,service=%q", id(name).Instance, id(name).Service)
				want += states("meshhealth_instance_state", labels, map[health.Status]int{health.Starting: 1})
			}
			r.is(want, "meshhealth_instance_state")
		}
		r.apply(register("pay/b"), register("cart/z"), register("pay/c"))
		shown("cart/z", "pay/b")
		r.apply(register("pay/a"))
		shown("cart/z", "pay/a")
		r.apply(deregister("cart/z"))
		shown("pay/a", "pay/b")
		r.apply(deregister("pay/b"), deregister("pay/c"))
		shown("pay/a")
	})
}

// TestBoundOfServices: the totals are still of all.
func TestBoundOfServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{MaxServices: 1})
		r.apply(register("c/1"), register("b/1"), register("a/1"), register("a/2"))
		r.is("meshhealth_service_series_omitted 2", "meshhealth_service_series_omitted")
		r.is(states("meshhealth_service_state", `service="a"`, map[health.Status]int{health.Starting: 1}), "meshhealth_service_state")
		r.is(states("meshhealth_service_instances", `service="a"`, map[health.Status]int{health.Starting: 2}), "meshhealth_service_instances")
		r.is(states("meshhealth_mesh_instances", "", map[health.Status]int{health.Starting: 4}), "meshhealth_mesh_instances")
		r.is(states("meshhealth_mesh_services", "", map[health.Status]int{health.Starting: 3}), "meshhealth_mesh_services")
	})
}

// TestBoundOfTrouble: the bound counts services in trouble only, so one service without status
// series has a series for its trouble.
func TestBoundOfTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{MaxServices: 2})
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			r.apply(register(name+"/1"), report(name+"/1", health.Serving, 0))
		}
		for i, name := range []string{"e", "d", "c"} {
			r.apply(report(name+"/1", health.NotServing, health.CauseFailed))
			if got, want := r.count("meshhealth_service_trouble_timestamp_seconds"), min(i+1, 2); got != want {
				t.Errorf("%d services in trouble: %d series, want %d", i+1, got, want)
			}
		}
		r.is(states("meshhealth_mesh_services", "", map[health.Status]int{health.Serving: 2, health.NotServing: 3}), "meshhealth_mesh_services")
	})
}

// TestScrapesWhileChanging is for the race detector, and for a scrape that must
// always be whole: one state per name.
func TestScrapesWhileChanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{MaxInstances: 20, Stats: someStats})
		var scraping sync.WaitGroup
		for range 4 {
			scraping.Go(func() {
				for range 50 {
					scrapeIsWhole(r)
				}
			})
		}
		for i := range 200 {
			name := fmt.Sprintf("pay/%d", i%30)
			r.apply(register(name), report(name, health.Statuses()[i%len(health.Statuses())], 0))
			if i%3 == 0 {
				r.apply(deregister(name))
			}
		}
		scraping.Wait()
	})
}

func scrapeIsWhole(r *rig) {
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Error(err)
	}
	for _, f := range families {
		if f.GetName() != "meshhealth_instance_state" {
			continue
		}
		ones := map[string]float64{}
		for _, m := range f.GetMetric() {
			ones[m.GetLabel()[0].GetValue()] += m.GetGauge().GetValue()
		}
		for name, n := range ones {
			if n != 1 {
				r.t.Errorf("%s is in %v states", name, n)
			}
		}
	}
}

// BenchmarkScrape is of a mesh over the limit, the dearest there is.
func BenchmarkScrape(b *testing.B) {
	m, registry, events := mesh.New(health.MeshPolicy{}, epoch, time.Now()), prometheus.NewRegistry(), many("pay", 5000)
	f := feed.New(epoch, 0)
	var changes []health.Change
	for i := range events {
		changes = m.Apply(changes, time.Now(), &events[i])
	}
	f.Publish(changes)
	metrics, err := New(Config{Feed: f})
	if err != nil {
		b.Fatal(err)
	}
	registry.MustRegister(metrics)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
