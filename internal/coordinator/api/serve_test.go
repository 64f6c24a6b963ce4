package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// gated is a store whose commits wait for the test.
type gated struct {
	store.Store
	gate chan struct{}
}

// Commit waits until the gate is open.
func (g *gated) Commit(ctx context.Context, b *store.Batch) error {
	<-g.gate
	return g.Store.Commit(ctx, b)
}

// wantStopping fails the test unless err tells the client to retry.
func wantStopping(t *testing.T, err error) {
	t.Helper()
	wantCode(t, err, codes.Unavailable, wire.ReasonStopping)
	wantText(t, err, "the server is stopping")
	if delay, ok := wire.RetryDelay(err); !ok || delay != time.Second {
		t.Errorf("%v: RetryInfo %v, %v", err, delay, ok)
	}
}

func TestShutdownEndsEveryStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.lease("pay/1")
		far := w.call("192.0.2.2", insecure.NewCredentials())
		watches := []*watching{
			w.watch(&pb.WatchRequest{}), w.watch(&pb.WatchRequest{Names: []string{"pay/1"}}),
			far.watch(&pb.WatchRequest{Selector: &pb.Selector{Zone: "nowhere"}}), far.watch(&pb.WatchRequest{Names: []string{"nobody"}}),
		}
		reports := []*reports{w.report(pushed(l, pb.Status_STATUS_SERVING)), far.report(nil)}
		synctest.Wait()
		began := time.Now()
		w.stop()
		for _, in := range watches {
			wantStopping(t, in.end())
		}
		for _, r := range reports {
			wantStopping(t, r.end())
		}
		w.end()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		if n := w.server.Watchers(); n != 0 {
			t.Errorf("%d watchers", n)
		}
		if err := w.send(&pb.ListRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("after the end: %v", err)
		}
	})
}

// A change that was published before the end is still sent, and a call that began before the
// end is still answered.
func TestShutdownFinishesCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &gated{store.NewMemory(0), make(chan struct{}, 100)}
		w := newWorld(t, func(s *setup) { s.store = slow })
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		answered := make(chan error, 1)
		go func() {
			answered <- w.send(&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/1")}})
		}()
		synctest.Wait()
		w.stop()
		wantStopping(t, in.end())
		time.Sleep(drainTime / 2)
		close(slow.gate)
		if err := <-answered; err != nil {
			t.Errorf("Register: %v", err)
		}
		w.end()
		if s, err := slow.Load(t.Context()); err != nil || len(s.Registrations) != 1 {
			t.Errorf("the store holds %v, %v", s, err)
		}
	})
}

// A call that does not end within the drain time is cut.
func TestShutdownCutsWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &gated{store.NewMemory(0), make(chan struct{})}
		w := newWorld(t, func(s *setup) { s.store = stuck })
		answered := make(chan error, 1)
		go func() {
			answered <- w.send(&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/1")}})
		}()
		synctest.Wait()
		began := time.Now()
		w.stop()
		if err := <-answered; err == nil {
			t.Error("Register was answered")
		}
		if err := <-w.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if took := time.Since(began); took != drainTime {
			t.Errorf("it took %v", took)
		}
		close(stuck.gate)
		w.served <- nil // so that the cleanup does not wait
	})
}

// If Serve fails, it ends its calls too.
func TestServeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		_ = w.listener.Close()
		if err := <-w.served; err == nil {
			t.Error("a listener that fails is no error")
		}
		w.served <- nil // so that the cleanup does not wait
		wantStopping(t, in.end())
	})
}

// A Watch resumes with the next coordinator.
func TestWatchAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := store.NewMemory(0)
		w := newWorld(t, func(s *setup) { s.store = kept })
		w.registered(fixture("pay/1"))
		came, err := w.watch(&pb.WatchRequest{}).received()
		if err != nil || len(came) != 1 {
			t.Fatalf("%v, %v", came, err)
		}
		w.end()
		w = newWorld(t, func(s *setup) { s.store, s.epoch = kept, 78 })
		again, err := w.watch(&pb.WatchRequest{ResumeToken: came[0].GetResumeToken()}).received()
		if err != nil || len(again) != 1 || !again[0].GetSnapshot() || !again[0].GetGap() || again[0].GetEpoch() != 78 {
			t.Errorf("%v, %v", again, err)
		}
	})
}

// No call hangs while the registry stops.
func TestCallsWithoutARegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := w.lease("pay/1")
		r := w.report(pushed(l, pb.Status_STATUS_SERVING))
		r.open()
		w.stopRegistry()
		if err := <-w.ran; err != nil {
			t.Error(err)
		}
		w.ran <- nil // so that the cleanup does not wait
		for _, req := range []any{
			renewal(l), farewell(l), good(), &pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/2")}},
			pushed(l, pb.Status_STATUS_SERVING),
		} {
			wantStopping(t, w.send(req))
		}
		r.says(says(pb.Status_STATUS_SERVING))
		wantStopping(t, r.end())
		w.calls()
	})
}

// An error of the store is returned to the client, and other calls are not affected.
func TestStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &failing{Store: store.NewMemory(0)}
		w := newWorld(t, func(s *setup) { s.store = broken })
		l := w.lease("pay/1")
		synctest.Wait()
		broken.err = errors.New("disk full")
		for _, req := range []any{
			&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/2")}}, good(), farewell(l),
		} {
			err := w.send(req)
			wantCode(t, err, codes.Unavailable, wire.ReasonStore)
			wantText(t, err, "disk full")
			if delay, ok := wire.RetryDelay(err); !ok || delay <= 0 {
				t.Errorf("%T: no RetryInfo: %v", req, err)
			}
		}
		if err := w.send(renewal(l)); err != nil {
			t.Errorf("Renew: %v", err)
		}
		synctest.Wait()
		resp, err := w.admin.GetCoordinator(t.Context(), &pb.GetCoordinatorRequest{})
		if err != nil || resp.GetStatus() != pb.Status_STATUS_DEGRADED || resp.GetReason() != "store: disk full" {
			t.Errorf("%v, %v", resp, err)
		}
		broken.err = nil
	})
}

// failing is a store whose disk is full while err is set. A test sets it only while there is
// no commit.
type failing struct {
	store.Store
	err error
}

// Commit fails while err is set.
func (f *failing) Commit(ctx context.Context, b *store.Batch) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.Commit(ctx, b)
}

// A call is answered although more Watches are open on its connection than the gRPC server
// has workers.
func TestWatchesKeepNoCallWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.lease("pay/1")
		for range wire.StreamWorkers + wire.StreamWorkers/2 {
			in := w.watch(&pb.WatchRequest{Names: []string{"pay/1"}})
			in.wants("pay/1 STARTING")
		}
		w.calls()
	})
}

// A server that is never served has no goroutine. The bubble of the test checks that.
func TestNewStartsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		if n := len(methodsOf(New(w.server.cfg).Services())); n == 0 {
			t.Error("no methods")
		}
	})
}
