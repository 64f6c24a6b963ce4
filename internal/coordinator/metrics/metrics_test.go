package metrics

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/meshhealth/meshhealth/health"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata")

const golden = "testdata/exposition.txt"

// someStats has a figure of its own for everything.
func someStats() Stats {
	return Stats{
		Watchers: 3, Followers: map[string]int{"report": 2, "grpc-poll": 1, "not a mode": 9},
		QueueWaiting: 4, QueueLost: 5, CommitAge: 3 * time.Second, StoreFailing: true, InsecureOpen: true, AccessFaults: 25, Guards: 2, Score: 3, Overrides: 7, LateWakes: 6, LateAt: time.UnixMilli(1_700_000_000_500),
		Coverage: 0.75, Breakers: map[string]int{"closed": 11, "open": 12, "not a state": 13}, Retries: 14, RetriesDenied: 15,
		Flooding: 16, Dropped: 17, LogDropped: 18,
		XDSStreams: map[string]int{"plain world": 19, "spill-over delta": 20}, XDSBehind: 21, XDSResponses: 22, XDSRejections: 23,
		Certificates: []Certificate{
			{Section: "tls", Expires: time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC), FailedReads: 24},
			{Section: "dial.default"}, // roots without a certificate
		},
	}
}

// TestExposition holds everything that is exported, help and types included, of
// one small mesh.
func TestExposition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{Stats: someStats})
		r.apply(register("cart/a"), register("cart/b"), in("x", register("pay/a")))
		r.apply(report("cart/a", health.Serving, 0), report("cart/b", health.Serving, 0), report("pay/a", health.Degraded, health.CauseWarned))
		r.apply(report("cart/b", health.NotServing, health.CauseFailed))
		r.publish(r.mesh.PublishSelf(nil, health.Degraded, health.CauseFailed, "the store"))
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
		r.is(states("meshhealth_mesh_state", "", map[health.Status]int{health.Unknown: 1}), "meshhealth_mesh_state")
		r.is(states("meshhealth_coordinator_state", "", map[health.Status]int{health.Starting: 1}), "meshhealth_coordinator_state")
		r.is("", "meshhealth_mesh_status", "meshhealth_coordinator_status", "meshhealth_watchers", "meshhealth_followers",
			"meshhealth_store_waiting_transitions", "meshhealth_late_wakes_total", "meshhealth_last_late_wake_timestamp_seconds")
		r.publish(r.mesh.PublishSelf(nil, health.Serving, health.CauseOK, ""))
		r.is("meshhealth_coordinator_status 2", "meshhealth_coordinator_status")
		r.is("meshhealth_revision 1", "meshhealth_revision")
	})
}

// TestNeverLate: no late wake, no time of the last one.
func TestNeverLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{Stats: func() Stats { return Stats{} }})
		r.is("meshhealth_late_wakes_total 0", "meshhealth_late_wakes_total", "meshhealth_last_late_wake_timestamp_seconds")
	})
}

// TestUnconfirmed: doubt is counted where the status does not show it.
func TestUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
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

// TestTrouble: a service in trouble has one series, with its cause and its root. The value is the
// time of the status. The root of a service without another root is the service itself.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.mesh = mesh.New(health.MeshPolicy{Services: map[string]health.ServicePolicy{
			"pay": {DependsOn: []string{"db"}}, "cart": {DependsOn: []string{"db"}},
		}}, epoch, time.Now())
		r.run(Config{})
		r.apply(register("pay/a"), register("db/a"), register("cart/a"))
		r.is("", "meshhealth_service_trouble_timestamp_seconds") // STARTING is no trouble
		r.apply(report("pay/a", health.Serving, 0), report("db/a", health.Serving, 0), report("cart/a", health.Serving, 0))
		r.is("", "meshhealth_service_trouble_timestamp_seconds")
		r.after(time.Second)
		r.apply(report("db/a", health.NotServing, health.CauseRefused))
		r.after(1500 * time.Millisecond)
		r.apply(report("pay/a", health.Degraded, health.CauseWarned), report("cart/a", health.Unknown, health.CauseTLS))
		r.is(`meshhealth_service_trouble_timestamp_seconds{cause="failed",root="db",service="db",state="NOT_SERVING"} 9.46684801e+08
			meshhealth_service_trouble_timestamp_seconds{cause="unconfirmed",root="db",service="cart",state="UNKNOWN"} 9.466848025e+08
			meshhealth_service_trouble_timestamp_seconds{cause="warned",root="db",service="pay",state="DEGRADED"} 9.466848025e+08`,
			"meshhealth_service_trouble_timestamp_seconds")
		r.lints()
		r.apply(deregister("pay/a"), report("cart/a", health.Maintenance, 0), report("db/a", health.Serving, 0))
		r.is("", "meshhealth_service_trouble_timestamp_seconds")
	})
}

// TestTransitions: those of instances count, by cause; removals, and changes of
// something else, do not.
func TestTransitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
		r.apply(register("pay/a"))
		r.is("", "meshhealth_transitions_total")
		r.apply(report("pay/a", health.Serving, 0))
		r.apply(report("pay/a", health.NotServing, health.CauseTimeout))
		r.apply(report("pay/a", health.NotServing, health.CausePanic))
		r.apply(report("pay/a", health.Draining, 0), deregister("pay/a"))
		r.is(`meshhealth_transitions_total{cause="draining",to="DRAINING"} 1
			meshhealth_transitions_total{cause="ok",to="SERVING"} 1
			meshhealth_transitions_total{cause="timeout",to="NOT_SERVING"} 1`, "meshhealth_transitions_total")
	})
}

// TestTransitionsAtOnce: each transition of one publication counts.
func TestTransitionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
		r.apply(register("pay/a"), report("pay/a", health.Serving, 0), report("pay/a", health.NotServing, health.CauseFailed), report("pay/a", health.NotServing, health.CausePanic))
		r.is(`meshhealth_transitions_total{cause="failed",to="NOT_SERVING"} 1
			meshhealth_transitions_total{cause="ok",to="SERVING"} 1`, "meshhealth_transitions_total")
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

// TestLatency: each change is timed from its own time on.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.run(Config{})
		now := time.Now()
		change := func(ago time.Duration) health.Change {
			return health.Change{State: health.State{ID: id("pay/a")}, At: now.Add(-ago)}
		}
		r.metrics.Count([]health.Change{change(3 * time.Millisecond), change(-time.Second)}) // the second is from a clock that is ahead
		var b strings.Builder
		for _, le := range []string{"0.0001", "0.00025", "0.0005", "0.001", "0.0025"} {
			fmt.Fprintf(&b, "meshhealth_publish_latency_seconds_bucket{le=%q} 1\n", le)
		}
		for _, le := range []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"} {
			fmt.Fprintf(&b, "meshhealth_publish_latency_seconds_bucket{le=%q} 2\n", le)
		}
		b.WriteString("meshhealth_publish_latency_seconds_sum 0.003\nmeshhealth_publish_latency_seconds_count 2\n")
		r.is(b.String(), "meshhealth_publish_latency_seconds")
	})
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Feed") {
		t.Errorf("no word of Feed: %v", err)
	}
}
