package watch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
)

// TestDialsArePaced: an address where nobody listens is refused twice within
// two seconds, and asked ever less often then.
func TestDialsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.are(r.take(), "pay/a: refused")
		r.are(r.after(firstWait), "pay/a: refused")
		if d := r.dialled("host:1"); d[1].Sub(d[0]) < leastWait {
			t.Errorf("refused again after %v: it would not count", d[1].Sub(d[0]))
		}
		got := r.after(10 * time.Minute)
		if n := len(got); n < 110 || n > 175 {
			t.Errorf("%d attempts in ten minutes, want about one every 4.3 s", n)
		}
		_, reg := knows("pay")
		r.serve("host:1", reg)
		r.are(r.after(longestWait)[:1], "pay/a: SERVING by grpc-watch")
	})
}

// TestRefusedAfterBroken: the kernel may still take a connection for a process
// that is being killed, and break it. Two refusals, a second apart, follow within
// two seconds all the same, as if nothing had come before them.
func TestRefusedAfterBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		dying := bufconn.Listen(64 << 10)
		r.listen("host:1", dying)
		r.register("pay/a", health.Spec{Address: "host:1"})
		conn, err := dying.Accept()
		if err != nil {
			t.Fatal(err)
		}
		r.listen("host:1", nil)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		r.are(r.take(), "pay/a: path")
		got := r.after(2 * time.Second)
		r.are(got, "pay/a: refused", "pay/a: refused")
		if apart := got[len(got)-1].at.Sub(got[0].at); apart < time.Second {
			t.Errorf("the refusals are %v apart", apart)
		}
	})
}

// TestOneConnection: all at an address share one, and what a failed attempt
// came to is told of each.
func TestOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for i := range 5 {
			r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: "host:1"})
		}
		r.after(0)
		before := len(r.dialled("host:1"))
		got := r.after(firstWait)
		if dials := len(r.dialled("host:1")) - before; dials != 1 || len(got) < 5 {
			t.Errorf("%d dials, told %v; want each told of a dial they share", dials, got)
		}
		_, reg := knows("pay")
		r.serve("host:1", reg)
		before = len(r.dialled("host:1"))
		r.after(5 * time.Second)
		if dials := len(r.dialled("host:1")) - before; dials != 1 {
			t.Errorf("%d dials when it came back, want 1", dials)
		}
		if modes := r.w.Modes(); modes["grpc-watch"] != 5 {
			t.Errorf("modes %v", modes)
		}
		for i := range 5 {
			r.deregister(fmt.Sprintf("pay/%d", i))
		}
		synctest.Wait()
		if n := len(r.w.pool.places); n != 0 {
			t.Errorf("%d connections kept when all had left", n)
		}
	})
}

// TestPlaces: what may not share a connection does not.
func TestPlaces(t *testing.T) {
	p := newPool(&Config{UnreachableAfter: health.DefaultUnreachableAfter})
	id := health.ID{Service: "pay", Instance: "a"}
	a := p.enter(id, &health.Spec{Address: "host:1"})
	if p.enter(id, &health.Spec{Address: "host:1"}) != a {
		t.Error("the same place twice")
	}
	if p.enter(id, &health.Spec{Address: "host:1", ServerName: "other"}) == a {
		t.Error("one connection for two server names")
	}
	if p.enter(id, &health.Spec{Address: "host:2"}) == a {
		t.Error("one connection for two addresses")
	}
}
