package metrics

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata")

const golden = "testdata/exposition.txt"

// someStats has a figure of its own for everything.
func someStats() Stats {
	return Stats{
		Watchers: 3, Followers: map[string]int{"report": 2, "grpc-poll": 1, "not a mode": 9},
		QueueWaiting: 4, QueueLost: 5, CommitAge: 3 * time.Second, Guards: 2, Score: 3, Overrides: 7, LateWakes: 6, LateAt: time.UnixMilli(1_700_000_000_500),
		Coverage: 0.75, Breakers: map[string]int{"closed": 11, "open": 12, "not a state": 13}, Retries: 14, RetriesDenied: 15,
		Flooding: 16, Dropped: 17, LogDropped: 18,
	}
}

// TestExposition holds everything that is exported, help and types included, of
// one small mesh.
func TestExposition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{Stats: someStats})
		defer r.stop()
		r.apply(register("cart/a"), register("cart/b"), in("x", register("pay/a")))
		r.apply(report("cart/a", health.Serving, 0), report("cart/b", health.Serving, 0), report("pay/a", health.Degraded, health.CauseWarned))
		r.apply(report("cart/b", health.NotServing, health.CauseFailed))
		r.feed.Publish(r.mesh.PublishSelf(nil, health.Degraded, health.CauseFailed, "the store"))
		synctest.Wait()
		r.lints()
		if *rewrite {
			r.write(golden)
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if err := testutil.GatherAndCompare(r.registry, strings.NewReader(string(want))); err != nil {
			t.Error(err)
		}
	})
}

func (r *rig) write(file string) {
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// TestStatuses holds what each status becomes, at every level.
func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		status health.Status
		value  string // of instance and service; "" is absent
		mesh   health.Status
	}{
		{health.Serving, "2", health.Serving},
		{health.Degraded, "1", health.Degraded},
		{health.NotServing, "0", health.NotServing},
		{health.Unknown, "", health.Degraded},
		{health.Starting, "", health.Starting},
		{health.Draining, "", health.Draining},
		{health.Maintenance, "", health.Maintenance},
	} {
		t.Run(c.status.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.run(Config{})
				defer r.stop()
				r.apply(register("pay/a"))
				if c.status != health.Starting {
					r.apply(report("pay/a", health.Serving, 0), report("pay/a", c.status, 0))
				}
				one := map[health.Status]int{c.status: 1}
				r.is(states("meshhealth_instance_state", `instance="a",service="pay"`, one), "meshhealth_instance_state")
				r.is(states("meshhealth_service_state", `service="pay"`, one), "meshhealth_service_state")
				r.is(states("meshhealth_service_instances", `service="pay"`, one), "meshhealth_service_instances")
				r.is(states("meshhealth_mesh_state", "", map[health.Status]int{c.mesh: 1}), "meshhealth_mesh_state")
				r.is(sample(`meshhealth_instance_status{instance="a",service="pay"}`, c.value), "meshhealth_instance_status")
				r.is(sample(`meshhealth_service_status{service="pay"}`, c.value), "meshhealth_service_status")
				r.lints()
			})
		})
	}
}

func sample(name, value string) string {
	if value == "" {
		return ""
	}
	return name + " " + value
}

// TestRemoval: what is gone leaves no series, and no count.
func TestRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
		defer r.stop()
		r.apply(register("cart/a"), register("cart/b"), register("pay/a"))
		r.apply(deregister("cart/b"), deregister("pay/a"))
		r.is(`meshhealth_instance_series_omitted 0`, "meshhealth_instance_series_omitted")
		r.is(states("meshhealth_instance_state", `instance="a",service="cart"`, map[health.Status]int{health.Starting: 1}),
			"meshhealth_instance_state")
		r.is(states("meshhealth_service_instances", `service="cart"`, map[health.Status]int{health.Starting: 1}),
			"meshhealth_service_instances")
		r.is(states("meshhealth_mesh_services", "", map[health.Status]int{health.Starting: 1}), "meshhealth_mesh_services")
		r.apply(deregister("cart/a"))
		r.is("", "meshhealth_service_state", "meshhealth_service_status", "meshhealth_service_instances",
			"meshhealth_instance_state", "meshhealth_instance_status")
		r.is(states("meshhealth_mesh_instances", "", nil), "meshhealth_mesh_instances")
		r.is(states("meshhealth_mesh_state", "", map[health.Status]int{health.Unknown: 1}), "meshhealth_mesh_state")
	})
}

// TestBeforeAnything: the mesh and the coordinator have a state from the start,
// and no figures nobody has given.
func TestBeforeAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
		defer r.stop()
		r.is(states("meshhealth_mesh_state", "", map[health.Status]int{health.Unknown: 1}), "meshhealth_mesh_state")
		r.is(states("meshhealth_coordinator_state", "", map[health.Status]int{health.Starting: 1}), "meshhealth_coordinator_state")
		r.is("", "meshhealth_mesh_status", "meshhealth_coordinator_status", "meshhealth_watchers", "meshhealth_followers",
			"meshhealth_store_waiting_transitions", "meshhealth_late_wakes_total", "meshhealth_last_late_wake_timestamp_seconds")
		r.feed.Publish(r.mesh.PublishSelf(nil, health.Serving, health.CauseOK, ""))
		synctest.Wait()
		r.is("meshhealth_coordinator_status 2", "meshhealth_coordinator_status")
		r.is("meshhealth_revision 1", "meshhealth_revision")
	})
}

// TestNeverLate: no late wake, no time of the last one.
func TestNeverLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{Stats: func() Stats { return Stats{} }})
		defer r.stop()
		r.is("meshhealth_late_wakes_total 0", "meshhealth_late_wakes_total", "meshhealth_last_late_wake_timestamp_seconds")
	})
}

// TestUnconfirmed: doubt is counted where the status does not show it.
func TestUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
		defer r.stop()
		r.apply(register("pay/a"), register("pay/b"), report("pay/a", health.Serving, 0), report("pay/b", health.Serving, 0))
		r.is("meshhealth_unconfirmed_instances 0", "meshhealth_unconfirmed_instances")
		r.apply(mesh.Event{Kind: mesh.EventPath, ID: id("pay/a"), Lease: 1, Reason: "no route"})
		r.is("meshhealth_unconfirmed_instances 1", "meshhealth_unconfirmed_instances")
		r.is(`meshhealth_service_status{service="pay"} 2`, "meshhealth_service_status")
		r.after(health.DefaultUnreachableAfter)
		r.is("meshhealth_unconfirmed_instances 0", "meshhealth_unconfirmed_instances")
		r.is(`meshhealth_transitions_total{cause="ok",to="SERVING"} 2
			meshhealth_transitions_total{cause="unreachable",to="NOT_SERVING"} 1`, "meshhealth_transitions_total")
	})
}

// TestHeld: what flaps is counted while it is held.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
		defer r.stop()
		r.apply(register("pay/a"), report("pay/a", health.Serving, 0))
		r.is(`meshhealth_held_instances{cause="flapping"} 0
			meshhealth_held_instances{cause="guarded"} 0`, "meshhealth_held_instances")
		for _, s := range []health.Status{health.NotServing, health.Serving, health.NotServing, health.Serving} {
			r.apply(report("pay/a", s, 0))
		}
		r.is(`meshhealth_held_instances{cause="flapping"} 1
			meshhealth_held_instances{cause="guarded"} 0`, "meshhealth_held_instances")
	})
}

// TestTransitions: those of instances count, by cause; removals, and changes of
// something else, do not.
func TestTransitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
		defer r.stop()
		r.apply(register("pay/a"))
		r.is("", "meshhealth_transitions_total")
		r.apply(report("pay/a", health.Serving, 0))
		r.apply(report("pay/a", health.NotServing, health.CauseTimeout))
		r.apply(report("pay/a", health.NotServing, health.CausePanic))
		r.apply(report("pay/a", health.Draining, 0), deregister("pay/a"))
		r.is(`meshhealth_transitions_total{cause="ok",to="SERVING"} 1
			meshhealth_transitions_total{cause="timeout",to="NOT_SERVING"} 1`, "meshhealth_transitions_total")
	})
}

// TestCauseLabel: none is empty, which would be no label.
func TestCauseLabel(t *testing.T) {
	if got := causeLabel(health.CauseNone); got != "none" {
		t.Errorf("CauseNone: %q", got)
	}
	for c := health.CauseOK; c < health.NumCauses; c++ {
		if causeLabel(c) == "" {
			t.Errorf("cause %d: an empty label", c)
		}
	}
}

// TestMerged: what the reader was too slow for counts once, by where it led.
func TestMerged(t *testing.T) {
	r := newRig(t)
	m, err := New(Config{Registerer: r.registry, Feed: r.feed})
	if err != nil {
		t.Fatal(err)
	}
	r.registry.MustRegister(m)
	reader := r.feed.NewReader(feed.Interest{})
	read := func() {
		if err := m.next(t.Context(), reader); err != nil {
			t.Fatal(err)
		}
	}
	read()
	r.publish(register("pay/a"), report("pay/a", health.Serving, 0))
	read()
	r.publish(report("pay/a", health.NotServing, health.CauseFailed))
	r.publish(report("pay/a", health.NotServing, health.CausePanic)) // no transition, and all that is seen
	read()
	r.is(`meshhealth_transitions_total{cause="ok",to="SERVING"} 1
		meshhealth_transitions_total{cause="panic",to="NOT_SERVING"} 1`, "meshhealth_transitions_total")
}

// TestGap: a reader that fell behind begins anew, and says so.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.feed = feed.New(epoch, 1) // no change fits its log
		r.publish(register("cart/a"), register("pay/a"), report("pay/a", health.Serving, 0))
		r.run(Config{})
		defer r.stop()
		r.is("meshhealth_metrics_gaps_total 0", "meshhealth_metrics_gaps_total")
		r.is("", "meshhealth_transitions_total") // from before our time
		r.apply(deregister("cart/a"), report("pay/a", health.Degraded, health.CauseWarned))
		r.is("meshhealth_metrics_gaps_total 1", "meshhealth_metrics_gaps_total")
		r.is(`meshhealth_service_status{service="pay"} 1`, "meshhealth_service_status")
		r.is(states("meshhealth_service_instances", `service="pay"`, map[health.Status]int{health.Degraded: 1}), "meshhealth_service_instances")
		r.is(`meshhealth_transitions_total{cause="warned",to="DEGRADED"} 1`, "meshhealth_transitions_total")
		if got := sampleCount(t, r.registry, "meshhealth_publish_latency_seconds"); got != 0 {
			t.Errorf("%d changes of snapshots were timed", got)
		}
	})
}

// TestLatency: changes are timed one by one; those of the first snapshot, which
// may be old, are not.
func TestLatency(t *testing.T) {
	m, err := New(Config{Registerer: prometheus.NewRegistry(), Feed: feed.New(epoch, 0)})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	entry := func(at time.Time) *feed.Entry {
		return &feed.Entry{Change: health.Change{State: health.State{ID: id("pay/a")}, At: at}}
	}
	m.observeStep(&feed.Step{Snapshot: true, Entries: slices.Values([]*feed.Entry{entry(start.Add(-time.Hour))})}, start)
	m.observeStep(&feed.Step{Entries: slices.Values([]*feed.Entry{entry(start), entry(start.Add(time.Second))})}, start.Add(3*time.Millisecond))
	var b strings.Builder
	b.WriteString("# HELP meshhealth_publish_latency_seconds Time from a change to its being read from the feed by these metrics, a reader like any other.\n")
	b.WriteString("# TYPE meshhealth_publish_latency_seconds histogram\n")
	for _, le := range []string{"0.0001", "0.00025", "0.0005", "0.001", "0.0025"} {
		fmt.Fprintf(&b, "meshhealth_publish_latency_seconds_bucket{le=%q} 1\n", le)
	}
	for _, le := range []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"} {
		fmt.Fprintf(&b, "meshhealth_publish_latency_seconds_bucket{le=%q} 2\n", le)
	}
	b.WriteString("meshhealth_publish_latency_seconds_sum 0.003\nmeshhealth_publish_latency_seconds_count 2\n")
	if err := testutil.CollectAndCompare(m, strings.NewReader(b.String()), "meshhealth_publish_latency_seconds"); err != nil {
		t.Error(err)
	}
}

// TestRunTakesBack: after Run nothing is registered, so that it can begin anew.
func TestRunTakesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.publish(register("pay/a"))
		for range 2 {
			r.run(Config{})
			r.is("meshhealth_instance_series_omitted 0", "meshhealth_instance_series_omitted")
			r.stop()
			if n, err := testutil.GatherAndCount(r.registry); n != 0 || err != nil {
				t.Errorf("after Run: %d series, %v", n, err)
			}
		}
	})
}

func TestRunRefusesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
		defer r.stop()
		second, err := New(Config{Registerer: r.registry, Feed: r.feed})
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Run(t.Context()); err == nil {
			t.Error("two on one registry: no error")
		}
	})
}

func TestRunEnded(t *testing.T) {
	r := newRig(t)
	m, err := New(Config{Registerer: r.registry, Feed: r.feed})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	_, err := New(Config{})
	for _, field := range []string{"Registerer", "Feed"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("no word of %s: %v", field, err)
		}
	}
}

// TestRegistered tests that a scrape after Registered has the metrics.
func TestRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		m, err := New(Config{Registerer: registry, Feed: feed.New(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		<-m.Registered()
		if families, err := registry.Gather(); err != nil || len(families) == 0 {
			t.Errorf("%d metrics, %v", len(families), err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
