package coordinator_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

func rowFlood(t *testing.T) {
	bubble(t, "a stock Watch", func(r *rig) {
		s, every := newStub(), atomic.Int64{}
		every.Store(int64(time.Millisecond))
		var truth atomic.Int32
		truth.Store(int32(isServing))
		s.answers(func(context.Context, string) (healthpb.HealthCheckResponse_ServingStatus, error) {
			return healthpb.HealthCheckResponse_ServingStatus(truth.Load()), nil
		})
		s.watch = func(stream watchStream) error {
			for {
				if err := stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_ServingStatus(truth.Load())}); err != nil {
					return err
				}
				select {
				case <-time.After(time.Duration(every.Load())):
				case <-stream.Context().Done():
					return nil
				}
			}
		}
		r.serve(at, s.register)
		r.static(health.ProtocolAuto)
		r.after(10 * time.Second)
		r.is("pay/a", "SERVING ok")
		r.explained("pay/a", "by grpc-poll: it sends more than its budget")
		if names := r.state().GetFloodingInstances(); len(names) != 1 || names[0] != "pay/a" {
			r.t.Errorf("%v flood", names)
		}
		for range 3 { // each status is at most a second old
			truth.Store(int32(isNotServing))
			r.after(1100 * time.Millisecond)
			r.is("pay/a", "NOT_SERVING failed")
			truth.Store(int32(isServing))
			r.after(5 * time.Minute)
			r.is("pay/a", "SERVING ok")
		}
		every.Store(int64(time.Minute))
		r.after(5 * time.Minute) // the last minute is quiet
		if m := r.state().GetFollowers(); m["grpc-watch"] != 1 {
			r.t.Errorf("followed by %v, want its Watch again", m)
		}
		r.is("pay/a", "SERVING ok")
	})
}

// lacks are dial errors that are evidence about the coordinator itself.
var lacks = map[string]syscall.Errno{
	"file descriptors": syscall.EMFILE, "files of the system": syscall.ENFILE, "buffers": syscall.ENOBUFS, "memory": syscall.ENOMEM,
}

func rowOurselves(t *testing.T) {
	for what, lack := range lacks {
		err := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", lack)}
		answering(t, map[string]target{"no " + what: func(r *rig) (ill, well func()) {
			r.stock(at, []string{"pay"})
			return func() { r.net.Fail(at, err); r.net.Cut(at) }, func() { r.net.Fail(at, nil) }
		}}, func(r *rig, a *turned) {
			r.after(10 * time.Minute)
			r.is("pay/a", "SERVING ok unconfirmed") // without a deadline
			r.only("pay/a", a.since, "SERVING ok", "SERVING ok unconfirmed")
			if n := r.state().GetScore(); n != 0 {
				r.t.Errorf("one address raises our own score to %d", n)
			}
			r.recovers(a)
		})
	}
	bubble(t, "no file descriptors for three", func(r *rig) { r.lackingThree(dialError(syscall.EMFILE)) })
	bubbleWith(t, "polls that are not made", func(c *coordinator.Config) {
		c.Policy.UnreachableAfter = 5 * time.Second // so that fewer targets are too many
	}, func(r *rig) {
		s := newStub()
		s.answers(func(ctx context.Context, _ string) (healthpb.HealthCheckResponse_ServingStatus, error) {
			select { // each answers in time, but together they use all places
			case <-time.After(2400 * time.Millisecond):
			case <-ctx.Done():
			}
			return isServing, ctx.Err()
		})
		r.serve(at, s.register)
		const many, batch = 1200, 400
		for from := range many / batch {
			r.crowd(from*batch, batch)
		}
		r.after(15 * time.Second)
		settled := time.Now()
		r.after(15 * time.Second)
		unconfirmed := 0
		for i := range many {
			name := fmt.Sprint("pay/", i)
			r.only(name, settled, "SERVING ok", "SERVING ok unconfirmed")
			if r.now(name).GetUnconfirmed() {
				unconfirmed++
				r.is(name, "SERVING ok unconfirmed") // without a deadline
			}
		}
		if n := r.state().GetScore(); unconfirmed == 0 || n != 0 {
			r.t.Errorf("%d are unconfirmed, our own score is %d", unconfirmed, n)
		}
	})
}

// crowd registers many static instances in one call.
func (r *rig) crowd(from, many int) {
	all := &pb.RegisterRequest{}
	for i := range many {
		all.Registrations = append(all.Registrations, &pb.Registration{
			Service: "pay", Instance: fmt.Sprint(from + i), Address: at, Static: true,
		})
	}
	if _, err := r.registry.Register(r.t.Context(), all); err != nil {
		r.t.Fatal(err)
	}
}

// lackingThree checks that local dial errors for three addresses raise the score.
func (r *rig) lackingThree(err error) {
	for i := range 3 {
		address := fmt.Sprint("127.0.0.1:", 9100+i)
		r.stock(address, []string{"pay"})
		r.lease(&pb.Registration{Service: "pay", Instance: fmt.Sprint(i), Address: address, Static: true})
	}
	r.after(time.Minute)
	for i := range 3 {
		address := fmt.Sprint("127.0.0.1:", 9100+i)
		r.net.Fail(address, err)
		r.net.Cut(address)
	}
	r.after(5 * time.Second)
	if n := r.state().GetScore(); n == 0 {
		r.t.Error("our own score is 0")
	}
	r.after(10 * time.Minute)
	for i := range 3 {
		r.is(fmt.Sprint("pay/", i), "SERVING ok unconfirmed")
	}
}

func rowLate(t *testing.T) {
	for _, late := range []time.Duration{0, 3 * time.Second} {
		bubble(t, fmt.Sprint("late by ", late), func(r *rig) {
			other, _ := r.embedded("127.0.0.1:9002", "cart")
			r.lease(&pb.Registration{Service: "cart", Instance: "a", Address: "127.0.0.1:9002", Static: true})
			s := newStub()
			var asked atomic.Int64 // the time of the call in ns; 0 before it
			r.serve(at, s.register)
			r.static(health.ProtocolAuto)
			r.after(time.Minute)
			s.answers(func(ctx context.Context, _ string) (healthpb.HealthCheckResponse_ServingStatus, error) {
				asked.CompareAndSwap(0, time.Now().UnixNano())
				<-ctx.Done()
				return 0, ctx.Err()
			})
			for asked.Load() == 0 {
				r.after(10 * time.Millisecond)
			}
			began := time.Unix(0, asked.Load())
			r.net.Hang(at) // it does not answer at all
			if late > 0 {
				r.stalls.begin(late, 0)
				r.set(other, health.NotServing)
			}
			r.after(2 * time.Minute)
			const wait = 4 * time.Second // the limit of a Check
			first := r.when("pay/a", began, "SERVING ok unconfirmed, next unreachable")
			r.between("unconfirmed", first, wait+max(0, late-unseen), wait+late+time.Second)
			r.between("given up", r.when("pay/a", began, "NOT_SERVING unreachable")-first, unreachableAfter, unreachableAfter*8/7+time.Second)
		})
	}
	bubble(t, "that answers within the part", func(r *rig) {
		other, _ := r.embedded("127.0.0.1:9002", "cart")
		r.lease(&pb.Registration{Service: "cart", Instance: "a", Address: "127.0.0.1:9002", Static: true})
		r.serve(at, newStub().register)
		r.static(health.ProtocolAuto)
		r.after(time.Minute)
		since := time.Now()
		for range 10 {
			r.stalls.begin(8*time.Second, 0)
			r.set(other, health.NotServing)
			r.net.Hang(at)
			r.after(8 * time.Second)
			r.net.Resume(at)
			r.after(time.Minute)
			r.set(other, health.Serving)
			r.after(time.Minute)
		}
		r.only("pay/a", since, "SERVING ok")
	})
}

// unseen is the part of a delay that the owner does not notice, because it sleeps up to a
// second.
const unseen = time.Second
