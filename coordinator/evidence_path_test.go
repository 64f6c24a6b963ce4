package coordinator_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

func rowQuota(t *testing.T) {
	answering(t, map[string]target{
		"RESOURCE_EXHAUSTED":        answered(codes.ResourceExhausted),
		"a Watch that ends with it": watched(codes.ResourceExhausted, true),
		"an interceptor":            intercepted(codes.ResourceExhausted),
	}, func(r *rig, a *turned) {
		r.after(10 * time.Minute)
		first := r.when("pay/a", a.since, "SERVING ok unconfirmed, next quota")
		r.between("unconfirmed", first, 0, firstLook)
		r.between("UNKNOWN", r.when("pay/a", a.since, "UNKNOWN quota")-first, unreachableAfter, unreachableAfter+time.Second)
		r.only("pay/a", a.since, "SERVING ok", "SERVING ok unconfirmed", "UNKNOWN quota")
		r.is("pay/a", "UNKNOWN quota")
		r.recovers(a)
	})
	for _, streams := range []uint32{1, 3} {
		for what, run := range map[string]func(*rig){
			"embedded": func(r *rig) { r.embedded(at, "pay", grpc.MaxConcurrentStreams(streams)) },
			"stock":    func(r *rig) { r.stock(at, []string{"pay"}, grpc.MaxConcurrentStreams(streams)) },
			"polled":   func(r *rig) { r.serve(at, newStub().register, grpc.MaxConcurrentStreams(streams)) },
		} {
			bubble(t, fmt.Sprintf("%d streams on a connection/%s", streams, what), func(r *rig) {
				run(r)
				for i := range 20 {
					r.lease(&pb.Registration{Service: "pay", Instance: fmt.Sprint(i), Static: true})
				}
				r.after(time.Minute)
				settled := time.Now()
				r.after(5 * time.Minute)
				allowed := []string{"SERVING ok"}
				if what == "stock" {
					// A probe that gets a stream late may have no time left for an answer.
					// One such probe does not change a status.
					allowed = append(allowed, "SERVING ok unconfirmed, next unreachable")
				}
				for i := range 20 {
					r.only(fmt.Sprint("pay/", i), settled, allowed...)
				}
				if n := r.state().GetScore(); n != 0 {
					r.t.Errorf("our own score is %d", n)
				}
			})
		}
	}
	bubble(t, "a Watch that is refused, and Check works", func(r *rig) {
		s := newStub()
		s.watch = func(watchStream) error { return status.Error(codes.ResourceExhausted, "no more streams") }
		r.serve(at, s.register)
		r.static(health.ProtocolAuto)
		r.after(15 * time.Second)
		r.is("pay/a", "SERVING ok")
		r.explained("pay/a", "by grpc-poll", "ResourceExhausted")
	})
}

// cutOff are the ways in which a reply is cut.
var cutOff = map[string]func(r *rig) http.HandlerFunc{
	"RST_STREAM": func(*rig) http.HandlerFunc {
		return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	},
	"RST_STREAM after a message": func(*rig) http.HandlerFunc { return abortsAfter(serving()) },
	"a truncated message":        func(*rig) http.HandlerFunc { return abortsAfter(serving()[:6]) },
	"a lost connection": func(r *rig) http.HandlerFunc {
		return func(http.ResponseWriter, *http.Request) { r.net.Cut(at) }
	},
	"GOAWAY and a lost connection": func(r *rig) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			_ = http.NewResponseController(w).Flush()
			r.net.Cut(at)
		}
	},
}

// loses is a grpc-go server that can begin to break the connection for every stream, and, if
// checks is set, for every second other call.
func loses(checks bool, run func(r *rig, options ...grpc.ServerOption)) target {
	return func(r *rig) (ill, well func()) {
		var lost atomic.Bool
		lose := func() {
			if lost.Load() {
				r.net.Cut(at)
			}
		}
		run(r, grpc.StreamInterceptor(func(s any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			lose()
			return next(s, stream)
		}), grpc.UnaryInterceptor(func(ctx context.Context, q any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if checks {
				lose()
			}
			return next(ctx, q)
		}))
		return func() { lost.Store(true); r.net.Cut(at) }, func() { lost.Store(false) }
	}
}

func abortsAfter(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write(b)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func rowCut(t *testing.T) {
	targets := map[string]target{}
	for what, how := range cutOff {
		targets[what] = func(r *rig) (ill, well func()) {
			h := r.handle(at)
			return func() { h.answers(how(r)) }, h.serves
		}
		// The connection breaks once, and the repeated call is answered: no evidence.
		bubble(t, what+"/once", func(r *rig) {
			h := r.handle(at)
			r.static(health.ProtocolAuto)
			r.after(time.Minute)
			since := time.Now()
			for range 5 {
				var once atomic.Bool
				answer := how(r)
				h.answers(func(w http.ResponseWriter, q *http.Request) {
					if once.CompareAndSwap(false, true) {
						answer(w, q)
					}
					reply(w, "0", serving())
				})
				r.after(time.Minute)
			}
			r.only("pay/a", since, "SERVING ok")
		})
	}
	stock := func(r *rig, o ...grpc.ServerOption) { r.stock(at, []string{"pay"}, o...) }
	embedded := func(r *rig, o ...grpc.ServerOption) { r.embedded(at, "pay", o...) }
	targets["a connection that each call loses, stock"] = loses(true, stock)
	targets["a connection that each call loses, embedded"] = loses(true, embedded)
	answering(t, targets, func(r *rig, a *turned) {
		r.onThePath(a)
		r.recovers(a)
	})
	// The Watch breaks the connection, but Check works and gives a status.
	answering(t, map[string]target{
		"a connection that each Watch loses, stock":    loses(false, stock),
		"a connection that each Watch loses, embedded": loses(false, embedded),
	}, func(r *rig, a *turned) {
		r.after(10 * time.Minute)
		r.only("pay/a", a.since, "SERVING ok")
		r.explained("pay/a", "by grpc-poll: its Watch does not work: Unavailable")
	})
}

func rowRefused(t *testing.T) {
	for what, run := range map[string]func(*rig) (kill func()){
		"embedded": func(r *rig) func() { _, kill := r.embedded(at, "pay"); return kill },
		"stock":    func(r *rig) func() { _, kill := r.stock(at, []string{"pay"}); return kill },
		"polled":   func(r *rig) func() { return r.serve(at, newStub().register) },
	} {
		answering(t, map[string]target{what: func(r *rig) (ill, well func()) {
			kill := run(r)
			return kill, func() { run(r) }
		}}, func(r *rig, a *turned) {
			r.twice(a, "NOT_SERVING refused") // also if its client renews
			r.recovers(a)
		})
	}
	bubble(t, "once", func(r *rig) {
		_, kill := r.stock(at, []string{"pay"})
		r.static(health.ProtocolAuto)
		r.after(time.Minute)
		since := time.Now()
		kill()
		r.after(500 * time.Millisecond)
		r.is("pay/a", "SERVING ok unconfirmed, next unreachable")
		r.stock(at, []string{"pay"})
		r.after(time.Minute)
		r.only("pay/a", since, "SERVING ok", "SERVING ok unconfirmed")
		r.is("pay/a", "SERVING ok")
	})
}

// noDial are dial errors that are evidence about the path.
var noDial = map[string]error{
	"no route":         dialError(syscall.EHOSTUNREACH),
	"no network":       dialError(syscall.ENETUNREACH),
	"no local address": dialError(syscall.EADDRNOTAVAIL),
	"no such family":   dialError(syscall.EAFNOSUPPORT),
	"a time-out":       &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded},
	"DNS":              &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "pay", IsNotFound: true}},
}

func dialError(n syscall.Errno) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", n)}
}

// silences are the ways in which a target becomes unreachable.
func silences() map[string]target {
	targets := map[string]target{}
	for what, run := range map[string]func(*rig){
		"missed heartbeats": func(r *rig) { r.embedded(at, "pay") },
		"a silent Watch":    func(r *rig) { r.stock(at, []string{"pay"}) },
		"silent polls":      func(r *rig) { r.serve(at, newStub().register) },
	} {
		targets[what] = func(r *rig) (ill, well func()) {
			run(r)
			return func() { r.net.Hang(at) }, func() { r.net.Resume(at) }
		}
	}
	for what, err := range noDial {
		targets[what] = func(r *rig) (ill, well func()) {
			r.stock(at, []string{"pay"})
			return func() { r.net.Fail(at, err); r.net.Cut(at) }, func() { r.net.Fail(at, nil) }
		}
	}
	return targets
}

func rowSilence(t *testing.T) {
	answering(t, silences(), func(r *rig, a *turned) {
		if a.leased {
			return // rowSilenceRenewing tests it
		}
		r.onThePath(a)
		if n := r.state().GetScore(); n != 0 {
			r.t.Errorf("one address raises our own score to %d", n)
		}
		r.recovers(a)
	})
}

func rowSilenceRenewing(t *testing.T) {
	answering(t, silences(), func(r *rig, a *turned) {
		if !a.leased {
			return // rowSilence tests it
		}
		r.onThePath(a)
		r.recovers(a)
	})
	bubble(t, "its client is asked to report", func(r *rig) {
		s, _ := r.embedded(at, "pay")
		r.join(client.Instance{Feed: s.Feed()})
		r.after(time.Minute)
		since := time.Now()
		r.net.Hang(at)
		r.after(2 * time.Minute)
		r.never("pay/a", since, health.NotServing)
		r.is("pay/a", "SERVING ok")
		r.explained("pay/a", "It pushes its status, because the coordinator cannot reach it at "+at)
		r.set(s, health.NotServing)
		r.after(time.Second)
		r.is("pay/a", "NOT_SERVING failed")
	})
	bubble(t, "its client dies too", func(r *rig) {
		r.stock(at, []string{"pay"})
		leave := r.join(client.Instance{})
		r.after(time.Minute)
		r.net.Hang(at)
		r.after(5 * time.Minute)
		r.is("pay/a", "SERVING ok unconfirmed")
		leave()
		r.after(leaseTTL)
		r.is("pay/a", "NOT_SERVING lease_expired")
	})
}
