package server_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// diary records events with their times.
type diary struct {
	mu    sync.Mutex
	begun time.Time
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%v: ", time.Since(d.begun))+fmt.Sprintf(format, args...))
}

func (d *diary) has(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	got := slices.Sorted(slices.Values(d.lines))
	if want := slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	d.lines = nil
}

// stock watches as a stock gRPC client does.
func (d *diary) stock(t *testing.T, name string, conn *grpc.ClientConn) {
	t.Helper()
	stream, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				d.note("%s: %v", name, status.Code(err))
				return
			}
			d.note("%s: %v", name, m.GetStatus())
		}
	}()
}

// mesh watches as a coordinator does.
func (d *diary) mesh(t *testing.T, name string, conn *grpc.ClientConn) {
	t.Helper()
	stream, err := pb.NewHealthServiceClient(conn).Watch(t.Context(), &pb.WatchRequest{Names: []string{service}})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				d.note("%s: %v", name, status.Code(err))
				return
			}
			for _, e := range m.GetEntries() {
				d.note("%s: %v %v", name, e.GetStatus(), e.GetCause())
			}
		}
	}()
}

func TestDrainInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		s := newServer(t, server.Config{
			Propagation: 2 * time.Second,
			OnDrain: []func(context.Context) error{
				func(context.Context) error { time.Sleep(time.Second); d.note("first"); return nil },
				func(context.Context) error { d.note("second"); return nil },
			},
		})
		add(t, s, server.Check{Name: "db", Run: pass})
		e := serve(t, s)
		conn := e.dial(t)
		start(t, s)
		d.begun = time.Now()
		d.stock(t, "stock", conn)
		d.mesh(t, "mesh", conn)
		d.has(t, "0s: stock: SERVING", "0s: mesh: STATUS_SERVING CAUSE_OK")

		go func() { d.note("drained: %v", s.Drain(t.Context())) }()
		d.has(t, "0s: stock: NOT_SERVING", "0s: mesh: STATUS_DRAINING CAUSE_DRAINING")
		wantStatus(t, s, health.Draining)
		if err := s.SetStatus(health.Serving, ""); !errors.Is(err, server.ErrLeaving) {
			t.Errorf("SetStatus while draining: %v", err)
		}

		time.Sleep(1500 * time.Millisecond)
		d.stock(t, "new stock", conn)
		d.mesh(t, "new mesh", conn)
		d.has(t, "1s: first", "1s: second",
			"1.5s: new stock: NOT_SERVING", "1.5s: new mesh: STATUS_DRAINING CAUSE_DRAINING")

		time.Sleep(1500 * time.Millisecond)
		d.has(t, "3s: drained: <nil>", "3s: stock: Unavailable", "3s: mesh: Unavailable",
			"3s: new stock: Unavailable", "3s: new mesh: Unavailable")

		d.stock(t, "late stock", conn)
		d.mesh(t, "late mesh", conn)
		d.has(t, "3s: late stock: Unavailable", "3s: late mesh: Unavailable") // and no status before it

		r, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
			t.Errorf("Check after Drain: %v, %v", r, err)
		}
		e.grpc.GracefulStop()
		if took := time.Since(d.begun) - 3*time.Second; took != 0 {
			t.Errorf("GracefulStop took %v", took)
		}
	})
}

func TestDrainWithoutPropagationIsStillSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		s := newServer(t, server.Config{}) // without Run
		if err := s.SetStatus(health.Serving, ""); err != nil {
			t.Fatal(err)
		}
		e := serve(t, s)
		conn := e.dial(t)
		d.begun = time.Now()
		d.stock(t, "stock", conn)
		d.mesh(t, "mesh", conn)
		d.has(t, "0s: stock: SERVING", "0s: mesh: STATUS_SERVING CAUSE_OK")
		if err := s.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		e.grpc.GracefulStop()
		d.has(t, "0s: stock: NOT_SERVING", "0s: mesh: STATUS_DRAINING CAUSE_DRAINING",
			"0s: stock: Unavailable", "0s: mesh: Unavailable")
	})
}

func TestDrainIsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		s := newServer(t, server.Config{Propagation: time.Second, OnDrain: []func(context.Context) error{
			func(context.Context) error { calls.Add(1); return errDown },
		}})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := s.Drain(t.Context()); !errors.Is(err, errDown) {
					t.Errorf("Drain: %v", err)
				}
			})
		}
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := s.Drain(impatient); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an impatient further Drain: %v", err)
		}
		wg.Wait()
		if err := s.Drain(impatient); !errors.Is(err, errDown) {
			t.Errorf("Drain after all: %v", err)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("OnDrain was called %d times", n)
		}
		start(t, s)
		wantStatus(t, s, health.Draining)
	})
}

func TestDrainTakesEveryStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reached := false
		s := newServer(t, server.Config{OnDrain: []func(context.Context) error{
			func(context.Context) error { panic("no") },
			func(context.Context) error { runtime.Goexit(); return nil },
			func(context.Context) error { return errDown },
			func(context.Context) error { reached = true; return nil },
		}})
		err := s.Drain(t.Context())
		want := "OnDrain[0]: panic: no\nOnDrain[1]: ended its goroutine\nOnDrain[2]: down"
		if err == nil || err.Error() != want || !reached {
			t.Errorf("%v, the last one reached: %v", err, reached)
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		s := newServer(t, server.Config{Propagation: time.Hour, OnDrain: []func(context.Context) error{
			func(ctx context.Context) error { <-ctx.Done(); return errors.New("gave up") },
			func(context.Context) error { time.Sleep(time.Hour); return nil },
		}})
		conn := serve(t, s).dial(t)
		d.begun = time.Now()
		d.stock(t, "stock", conn)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.Drain(ctx)
		for _, want := range []string{"OnDrain[0]: gave up", "OnDrain[1]: has not returned", "propagation was cut short"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want %q", err, want)
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v does not say that time was up", err)
		}
		// The streams end in any case.
		d.has(t, "0s: stock: NOT_SERVING", "1.05s: stock: Unavailable")
		time.Sleep(time.Hour)
	})
}
