package server_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

const toldAll = "SERVING NOT_SERVING Unavailable"

// farewell collects what a watcher receives until the end of its stream.
type farewell struct {
	mu    sync.Mutex
	words []string
	done  chan struct{}
}

func (f *farewell) note(word string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.words = append(f.words, word)
}

func (f *farewell) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.words, " ")
}

// watchTo watches a name until the end of the stream.
func watchTo(t *testing.T, conn grpc.ClientConnInterface, name string) *farewell {
	t.Helper()
	stream, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		t.Fatal(err)
	}
	return follow(stream)
}

// follow reads a stream to its end.
func follow(stream grpc.ServerStreamingClient[healthpb.HealthCheckResponse]) *farewell {
	f := &farewell{done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for {
			m, err := stream.Recv()
			if err != nil {
				f.note(status.Code(err).String())
				if !strings.Contains(err.Error(), "the server is stopping") {
					f.note(err.Error())
				}
				return
			}
			f.note(m.GetStatus().String())
		}
	}()
	return f
}

func serving(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	s := newServer(t, cfg)
	if err := s.SetStatus(health.Serving, ""); err != nil {
		t.Fatal(err)
	}
	return s
}

// handling counts the streams whose handler has not returned.
func handling(n *atomic.Int32) grpc.ServerOption {
	return grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		n.Add(1)
		defer n.Add(-1)
		return next(srv, ss)
	})
}

// TestDrainWaitsForWatchers: when Drain returns, each Watch has been sent NOT_SERVING and
// its end.
func TestDrainWaitsForWatchers(t *testing.T) {
	const n = 200
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			s := serving(t, server.Config{})
			var open atomic.Int32
			conn := serve(t, s, handling(&open)).dial(t)
			all := make([]*farewell, n)
			for i := range all {
				all[i] = watchTo(t, conn, "")
			}
			synctest.Wait()
			if err := s.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			if left := open.Load(); left != 0 {
				t.Errorf("Drain has returned, and %d of %d Watches have not", left, n)
			}
			for _, f := range all {
				<-f.done
				if f.String() != toldAll {
					t.Errorf("a watcher was told %q", f)
				}
			}
		})
	}
}

// TestStopTellsWatchers: Stop lets watchers receive the end and lets calls of the service
// end, although connections are closed right after it.
func TestStopTellsWatchers(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			s := serving(t, server.Config{Propagation: time.Second})
			e := serve(t, s)
			conn := e.dial(t)
			var all []*farewell
			for range 50 {
				all = append(all, watchTo(t, conn, service))
			}
			synctest.Wait()
			if err := s.Stop(e.grpc, 10*time.Second); err != nil {
				t.Error(err)
			}
			for _, f := range all {
				<-f.done
				if f.String() != toldAll {
					t.Errorf("a watcher was told %q", f)
				}
			}
		})
	}
}

// TestStopTellsWatchersInTheEnd: the same holds if Drain needs more time than Stop has.
func TestStopTellsWatchersInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, server.Config{Propagation: time.Hour})
		e := serve(t, s)
		f := watchTo(t, e.dial(t), service)
		synctest.Wait()
		began := time.Now()
		err := s.Stop(e.grpc, 10*time.Second)
		if err == nil || !strings.Contains(err.Error(), "propagation was cut short") || strings.Contains(err.Error(), "cut off") {
			t.Errorf("%v", err)
		}
		<-f.done
		if took := time.Since(began); took > 10*time.Second || f.String() != toldAll {
			t.Errorf("after %v a watcher was told %q", took, f)
		}
	})
}

// plainHTTP serves g through net/http with HTTP/2 in plaintext.
func plainHTTP(t *testing.T, h http.Handler) (*http.Server, *grpcServer) {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	l := bufconn.Listen(64 << 10)
	web := &http.Server{Handler: h, Protocols: &protocols}
	done := make(chan struct{})
	go func() { defer close(done); _ = web.Serve(l) }()
	t.Cleanup(func() { web.Close(); <-done })
	return web, &grpcServer{listener: l}
}

// TestDrainTellsWatchersOfServeHTTP: if gRPC is served through net/http, Shutdown follows
// Drain.
func TestDrainTellsWatchersOfServeHTTP(t *testing.T) {
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			s := serving(t, server.Config{})
			var open atomic.Int32
			g := grpc.NewServer(handling(&open))
			s.Register(g)
			web, e := plainHTTP(t, g)
			conn := e.dial(t)
			var all []*farewell
			for range 20 {
				all = append(all, watchTo(t, conn, ""))
			}
			synctest.Wait()
			if err := s.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			if left := open.Load(); left != 0 {
				t.Errorf("Drain has returned, and %d Watches have not", left)
			}
			if err := web.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			for _, f := range all {
				<-f.done
				if f.String() != toldAll {
					t.Errorf("a watcher was told %q", f)
				}
			}
			conn.Close()
			g.Stop()
		})
	}
}

// TestServeHealthTellsWatchers: the order of Drain and the end of the context does not
// matter.
func TestServeHealthTellsWatchers(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, s *server.Server, stop func()){
		"Drain, then its context": func(t *testing.T, s *server.Server, stop func()) { _ = s.Drain(t.Context()); stop() },
		"its context, then Drain": func(t *testing.T, s *server.Server, stop func()) { stop(); _ = s.Drain(t.Context()) },
		"its context while it drains": func(t *testing.T, s *server.Server, stop func()) {
			go func() { _ = s.Drain(t.Context()) }()
			time.Sleep(time.Second)
			stop()
		},
		"the program drains when its context has ended": func(t *testing.T, s *server.Server, stop func()) {
			stop()
			time.Sleep(time.Millisecond)
			_ = s.Drain(t.Context())
		},
		"its context alone": func(_ *testing.T, _ *server.Server, stop func()) { stop() },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := serving(t, server.Config{Propagation: 2 * time.Second, Services: []server.Service{{Name: "live", Kind: server.Liveness}}})
			l := bufconn.Listen(64 << 10)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.ServeHealth(ctx, l) }()
			conn := (&grpcServer{listener: l}).dial(t)
			f, live := watchTo(t, conn, ""), watchTo(t, conn, "live")
			synctest.Wait()
			leave(t, s, stop)
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
			<-f.done
			<-live.done
			want := toldAll
			if name == "its context alone" {
				want = "SERVING Unavailable"
			}
			if f.String() != want || live.String() != "SERVING Unavailable" {
				t.Errorf("%s: watchers were told %q, and of liveness %q", name, f, live)
			}
		})
	}
}

// deaf opens a Watch of all names on its own connection and reads nothing, so that the
// flow-control windows fill up.
func deaf(t *testing.T, e *grpcServer) {
	t.Helper()
	conn := e.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10), grpc.WithStaticStreamWindowSize(64<<10))
	if _, err := pb.NewHealthServiceClient(conn).Watch(t.Context(), &pb.WatchRequest{}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// TestDrainDoesNotWaitForTheDeaf: Drain does not wait for a stream whose send has blocked
// for a second. Other streams are not delayed.
func TestDrainDoesNotWaitForTheDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, server.Config{})
		e := serve(t, s)
		for range 3 {
			deaf(t, e)
		}
		for i := range 2000 { // enough to fill the windows
			if err := s.SetStatus([]health.Status{health.Degraded, health.Serving}[i%2], strings.Repeat("x", 1000)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		f := watchTo(t, e.dial(t), "")
		synctest.Wait()
		began := time.Now()
		if err := s.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("Drain took %v", took)
		}
		<-f.done
		if f.String() != toldAll {
			t.Errorf("a watcher was told %q", f)
		}
	})
}

// TestDrainWaitsNoLongerThanItsContext: Drain stops waiting for watchers when its context
// ends, and returns an error.
func TestDrainWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, server.Config{})
		e := serve(t, s)
		deaf(t, e)
		for i := range 2000 {
			if err := s.SetStatus([]health.Status{health.Degraded, health.Serving}[i%2], ""); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		// The send has blocked for some time before Drain begins.
		time.Sleep(700 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		err := s.Drain(ctx)
		if took := time.Since(began); took != 100*time.Millisecond || err == nil || !strings.Contains(err.Error(), "1 Watch streams have not ended: context deadline exceeded") {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestNewsDoNotKeepAWatchOpen: a slow client receives the end of its stream, although new
// messages always wait for it.
func TestNewsDoNotKeepAWatchOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, server.Config{})
		p := &probe{}
		for i := range 50 {
			add(t, s, server.Check{Name: fmt.Sprint("c", i), Every: 100 * time.Millisecond, Run: func(context.Context) error {
				if len(p.runs())%2 == 0 {
					return health.Warnf("now and then")
				}
				return p.run(t.Context())
			}, OnFail: server.Ignore})
		}
		start(t, s)
		var mu sync.Mutex
		slow := false
		e := serve(t, s, grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(srv, slowStream{ss, func() bool { mu.Lock(); defer mu.Unlock(); return slow }})
		}))
		stream, err := pb.NewHealthServiceClient(e.dial(t)).Watch(t.Context(), &pb.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		slow = true
		mu.Unlock()
		time.Sleep(time.Minute)
		began := time.Now()
		if err := s.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("Drain took %v", took)
		}
	})
}

// slowStream needs 900 ms for a message.
type slowStream struct {
	grpc.ServerStream
	slow func() bool
}

func (s slowStream) SendMsg(m any) error {
	if s.slow() {
		time.Sleep(900 * time.Millisecond)
	}
	return s.ServerStream.SendMsg(m)
}

// TestDrainOnSockets: NOT_SERVING and the end arrive over TCP, although the listener is
// closed right after Drain.
func TestDrainOnSockets(t *testing.T) {
	for range 20 {
		s := serving(t, server.Config{})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := grpc.NewServer()
		s.Register(g)
		served := make(chan struct{})
		go func() { defer close(served); _ = g.Serve(l) }()
		conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		var all []*farewell
		for range 20 {
			stream, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			all = append(all, follow(stream))
		}
		if err := s.Stop(g, 10*time.Second); err != nil {
			t.Error(err)
		}
		for _, f := range all {
			<-f.done
			if f.String() != "NOT_SERVING Unavailable" {
				t.Fatalf("a watcher was told %q", f)
			}
		}
		conn.Close()
		<-served
	}
}
