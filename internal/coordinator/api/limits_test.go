package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// soon returns a context for a call that may never be answered.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// calls fails the test unless a call is answered.
func (c *visitor) calls() {
	c.t.Helper()
	if _, err := c.mesh.List(soon(c.t), &pb.ListRequest{}); err != nil {
		c.t.Errorf("it is not served: %v", err)
	}
}

// A connection beyond the limit receives an error and is dialled again later. Other hosts
// and open connections are not affected.
func TestConnectionsOfAHostAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.Peers = NewPeers(2, 0) })
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		second, third := w.call(home, insecure.NewCredentials()), w.call(home, insecure.NewCredentials())
		second.calls()
		for range 3 {
			_, err := third.mesh.List(soon(t), &pb.ListRequest{})
			wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
			wantText(t, err, "2 connections are open from "+home+", the most one peer may have")
		}
		w.call("192.0.2.2", insecure.NewCredentials()).calls()
		w.call("2001:db8::1", insecure.NewCredentials()).calls()
		second.calls()
		w.lease("pay/1")
		in.wants("pay/1 STARTING")
		_ = second.conn.Close()
		synctest.Wait() // until the server has noticed
		time.Sleep(time.Minute)
		third.calls()
		if w.listener.dials.Load() > 30 {
			t.Errorf("%d connections were tried", w.listener.dials.Load())
		}
	})
}

// A closed connection is no longer counted, so that a host can connect again and again.
func TestConnectionsAreCountedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, peers := newListener(), NewPeers(2, 0)
		limited := peers.Listen(l)
		for range 5 {
			theirs := []*Conn{accepted(t, limited, l), accepted(t, limited, l), accepted(t, limited, l)}
			if n := peers.open[home]; n != 2 || len(peers.refused) != 1 {
				t.Fatalf("%d are counted, and %d refused", n, len(peers.refused))
			}
			for i, c := range theirs {
				if err := c.Refused(); (err != nil) != (i == 2) {
					t.Errorf("connection %d: %v", i, err)
				}
				_ = c.Close()
				_ = c.Close() // a second Close changes no count
			}
			if len(peers.open) != 0 || len(peers.refused) != 0 {
				t.Fatalf("after all have gone: %v, %d", peers.open, len(peers.refused))
			}
		}
	})
}

// accepted dials and returns the accepted connection.
func accepted(t *testing.T, limited net.Listener, l *listener) *Conn {
	t.Helper()
	go func() {
		c, err := l.dialFrom(home)(t.Context(), "")
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = c.Close() })
	}()
	c, err := limited.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn)
}

// A stream beyond the limit of a connection waits. Another connection has streams of its
// own.
func TestStreamsOfAConnectionAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.lease("pay/1")
		all := make([]*watching, wire.MaxStreams)
		for i := range all {
			all[i] = w.watch(&pb.WatchRequest{Names: []string{"pay/1"}})
		}
		for i, in := range all {
			if len(in.entries()) != 1 {
				t.Fatalf("stream %d has got nothing", i)
			}
		}
		if _, err := w.mesh.List(soon(t), &pb.ListRequest{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("one too many: %v", err)
		}
		waiting := w.watch(&pb.WatchRequest{Names: []string{"pay/1"}})
		waiting.wants()
		w.call(home, insecure.NewCredentials()).calls()
		all[0].cancel()
		waiting.wants("pay/1 STARTING")
		if n := w.server.Watchers(); n != wire.MaxStreams {
			t.Errorf("%d watchers", n)
		}
	})
}

func TestWatchersAreLimited(t *testing.T) {
	for what, edit := range map[string]func(*setup){
		"in all":   func(s *setup) { s.MaxWatchers = 2 },
		"per host": func(s *setup) { s.MaxWatchersPerPeer = 2 },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, edit)
			first, second := w.watch(&pb.WatchRequest{}), w.watch(&pb.WatchRequest{})
			first.entries()
			err := w.call(home, insecure.NewCredentials()).send(&pb.WatchRequest{})
			wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
			wantText(t, err, "2 Watch streams are open")
			if delay, ok := wire.RetryDelay(err); !ok || delay <= 0 {
				t.Errorf("%s: no RetryInfo: %v", what, err)
			}
			w.lease("pay/1")
			second.wants("pay/1 STARTING")
			first.cancel()
			synctest.Wait()
			w.watch(&pb.WatchRequest{}).wants("pay/1 STARTING")
		})
	}
}

// A request that is too large is refused, and its connection can still be used.
func TestLargeRequestsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		r := instance("pay/1")
		r.Version = long(wire.MaxRequest)
		err := w.send(&pb.RegisterRequest{Registrations: []*pb.Registration{r}})
		wantCode(t, err, codes.ResourceExhausted, "")
		wantText(t, err, "larger than max", fmt.Sprint(wire.MaxRequest))
		m := pushed(w.lease("pay/1"), pb.Status_STATUS_SERVING)
		in.wants("pay/1 STARTING")
		m.Reason = long(wire.MaxRequest)
		wantCode(t, w.send(m), codes.ResourceExhausted, "")
		in.wants()
		w.calls()
	})
}

func TestLargeHeadersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.calls()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x", long(wire.MaxHeaderList))
		if _, err := w.mesh.List(ctx, &pb.ListRequest{}); err == nil {
			t.Error("it was taken")
		}
		w.calls()
	})
}

// The largest number of registrations with long labels fits into a request.
func TestLargestRegisterFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		list := make([]*pb.Registration, wire.MaxRegistrations)
		for i := range list {
			list[i] = instance(fmt.Sprintf("pay/%d", i))
			list[i].Labels = map[string]string{}
			for k := range labels(wire.MaxLabels) {
				list[i].Labels[k] = long(90)
			}
		}
		if n := len(w.registered(list...)); n != len(list) {
			t.Errorf("%d leases", n)
		}
	})
}

func TestInstancesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.maxInstances = 2 })
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		w.lease("pay/1")
		in.wants("pay/1 STARTING")
		err := w.send(&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/2"), instance("pay/3")}})
		wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
		wantText(t, err, "1 instances are registered; allowed: 2")
		if _, ok := wire.RetryDelay(err); !ok {
			t.Errorf("no RetryInfo: %v", err)
		}
		in.wants() // none is registered
		w.lease("pay/1")
		in.wants()
		w.lease("pay/2")
		in.wants("pay/2 STARTING")
	})
}

// A silent connection blocks no other connection, and is closed.
func TestSilentConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		conn, err := w.listener.dialFrom("192.0.2.66")(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		w.calls()
		time.Sleep(wire.HandshakeTimeout + time.Second)
		if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("its end: %v", err)
		}
		w.calls()
	})
}
