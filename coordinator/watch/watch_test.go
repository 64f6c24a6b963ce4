package watch

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// TestRegistrations: an instance is followed while it is published, where it is
// published, and not while it pushes.
func TestRegistrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, address := range []string{"host:1", "host:2"} {
			_, reg := knows("pay")
			r.serve(address, reg)
		}
		r.register("pay/a", health.Spec{Address: "host:1", Lease: 7})
		got := r.take()
		r.are(got, "pay/a: SERVING by grpc-watch")
		if got[0].Lease != 7 {
			t.Errorf("lease %d, want the registration's", got[0].Lease)
		}
		r.register("pay/a", health.Spec{Address: "host:1", Lease: 7, Labels: map[string]string{"v": "2"}})
		r.are(r.take()) // nothing it needs has changed
		r.register("pay/a", health.Spec{Address: "host:2", Lease: 8})
		if got := r.take(); len(got) != 1 || got[0].Lease != 8 {
			t.Errorf("moved: told %v", got)
		}
		r.publish(health.State{ID: health.ParseID("pay/a"), Spec: &health.Spec{Address: "host:2", Lease: 8}, Pushed: true})
		r.are(r.after(time.Minute))
		r.register("pay/a", health.Spec{Address: "host:2", Lease: 8})
		r.are(r.take(), "pay/a: SERVING by grpc-watch")
		r.deregister("pay/a")
		r.are(r.after(time.Minute))
		if modes := r.w.Modes(); len(modes) != 0 {
			t.Errorf("modes %v with nobody registered", modes)
		}
	})
}

// TestAggregatesAreNotFollowed: a service and the mesh have no address.
func TestAggregatesAreNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.publish(health.State{ID: health.ID{Service: "pay"}, Status: health.Serving, Counts: &health.Counts{}})
		r.are(r.after(time.Minute))
	})
}

// TestRunJoins: after Run nothing is told and nothing runs (or the bubble would
// complain), whatever state the followers were in.
func TestRunJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, mesh := ours(t, "mesh")
		_, watched := knows("watched")
		polled, _ := knows("polled")
		r.serve("mesh:1", mesh)
		r.serve("watched:1", watched)
		r.serve("polled:1", checkOnly{polled}.register)
		for _, name := range []string{"mesh", "watched", "polled", "nobody"} {
			r.register(name+"/1", health.Spec{Address: name + ":1"})
		}
		r.after(10 * time.Second)
		r.stop()
		r.take()
		r.are(r.after(time.Minute))
	})
}
