package follow

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
)

// TestDialsArePaced tests that an address which refuses is dialled twice within two
// seconds, and then less and less often.
func TestDialsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.expect(r.drain(), "pay/a: refused")
		r.expect(r.after(firstWait), "pay/a: refused")
		if d := r.dialled("host:1"); d[1].Sub(d[0]) < leastWait {
			t.Errorf("refused again after %v, which is too soon to count", d[1].Sub(d[0]))
		}
		got := r.after(10 * time.Minute)
		if n := len(got); n < 110 || n > 175 {
			t.Errorf("%d attempts in ten minutes, want about one every 4.3 s", n)
		}
		_, reg := knows("pay")
		r.serve("host:1", reg)
		r.expect(r.after(longestWait)[:1], "pay/a: SERVING by grpc-watch")
	})
}

// TestRefusedAfterBroken tests a process that is being killed: the kernel accepts one
// more connection and breaks it. Two refusals, at least a second apart, must follow
// within two seconds.
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
		r.expect(r.drain(), "pay/a: path")
		got := r.after(2 * time.Second)
		r.expect(got, "pay/a: refused", "pay/a: refused")
		if apart := got[len(got)-1].at.Sub(got[0].at); apart < time.Second {
			t.Errorf("the refusals are %v apart", apart)
		}
	})
}

// TestOneConnection tests that all instances at an address share one connection, and
// that each receives the outcome of a failed attempt.
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
			t.Errorf("%d dials, evidence %v; want one shared dial, reported for each", dials, got)
		}
		_, reg := knows("pay")
		r.serve("host:1", reg)
		before = len(r.dialled("host:1"))
		r.after(5 * time.Second)
		if dials := len(r.dialled("host:1")) - before; dials != 1 {
			t.Errorf("%d dials after the address works again, want 1", dials)
		}
		if modes := r.manager.Modes(); modes["grpc-watch"] != 5 {
			t.Errorf("modes %v", modes)
		}
		for i := range 5 {
			r.deregister(fmt.Sprintf("pay/%d", i))
		}
		synctest.Wait()
		if n := len(r.manager.pool.links); n != 0 {
			t.Errorf("%d links are left without users", n)
		}
	})
}

// TestLatecomerHearsOfFailure tests a caller that does not know of the last failed
// attempt. It receives the outcome at once, while another caller waits for the next
// attempt.
func TestLatecomerHearsOfFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(&Config{UnreachableAfter: health.DefaultUnreachableAfter, Dial: DialPolicy{Context: func(context.Context, string) (net.Conn, error) {
			return nil, syscall.ECONNREFUSED
		}}})
		e := p.acquire(linkKey{address: "host:1"})
		first := e.connect(t.Context(), 0)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); e.connect(ctx, first.number) }()
		synctest.Wait() // it waits until the breaker permits an attempt
		began := time.Now()
		if late := e.connect(t.Context(), 0); late.number != first.number || time.Since(began) != 0 {
			t.Errorf("got attempt %d after %v, want %d at once", late.number, time.Since(began), first.number)
		}
		stop()
		<-ended
	})
}

// TestLinkKeys tests which instances share a connection.
func TestLinkKeys(t *testing.T) {
	p := newPool(&Config{UnreachableAfter: health.DefaultUnreachableAfter})
	id := health.ID{Service: "pay", Instance: "a"}
	a := p.acquire(p.keyOf(id, &health.Spec{Address: "host:1"}))
	if p.acquire(p.keyOf(id, &health.Spec{Address: "host:1"})) != a {
		t.Error("two links for one key")
	}
	if p.acquire(p.keyOf(id, &health.Spec{Address: "host:1", ServerName: "other"})) == a {
		t.Error("one connection for two server names")
	}
	if p.acquire(p.keyOf(id, &health.Spec{Address: "host:2"})) == a {
		t.Error("one connection for two addresses")
	}
}
