package follow

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// TestRegistrations tests that an instance is followed while it is published, at its
// published address, and not while it reports itself.
func TestRegistrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, address := range []string{"host:1", "host:2"} {
			_, reg := knows("pay")
			r.serve(address, reg)
		}
		r.register("pay/a", health.Spec{Address: "host:1", Lease: 7})
		got := r.drain()
		r.expect(got, "pay/a: SERVING by grpc-watch")
		if got[0].Lease != 7 {
			t.Errorf("lease %d, want the registration's", got[0].Lease)
		}
		r.register("pay/a", health.Spec{Address: "host:1", Lease: 7, Labels: map[string]string{"v": "2"}})
		r.expect(r.drain()) // the change does not concern the follower
		r.register("pay/a", health.Spec{Address: "host:2", Lease: 8})
		if got := r.drain(); len(got) != 1 || got[0].Lease != 8 {
			t.Errorf("evidence %v after the address has changed", got)
		}
		r.publish(health.State{ID: health.ParseID("pay/a"), Spec: &health.Spec{Address: "host:2", Lease: 8}, Pushed: true})
		r.expect(r.after(time.Minute))
		r.register("pay/a", health.Spec{Address: "host:2", Lease: 8})
		r.expect(r.drain(), "pay/a: SERVING by grpc-watch")
		r.deregister("pay/a")
		r.expect(r.after(time.Minute))
		if modes := r.manager.Modes(); len(modes) != 0 {
			t.Errorf("modes %v without registrations", modes)
		}
	})
}

// TestAggregatesAreNotFollowed tests that services and the mesh, which have no address,
// are ignored.
func TestAggregatesAreNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.publish(health.State{ID: health.ID{Service: "pay"}, Status: health.Serving, Counts: &health.Counts{}})
		r.expect(r.after(time.Minute))
	})
}

// TestRunJoins tests that Run ends all goroutines, whatever state the followers are in.
// The bubble fails if one is left.
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
		r.drain()
		r.expect(r.after(time.Minute))
	})
}
