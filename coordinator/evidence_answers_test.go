package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// target runs a target that serves. It returns a function that makes the target answer in
// another way, and one that makes it serve again.
type target func(r *rig) (ill, well func())

// answered is a grpc-go server that has only Check, which answers with a gRPC status.
func answered(code codes.Code, trailer ...string) target {
	return func(r *rig) (ill, well func()) {
		s := newStub()
		r.serve(at, s.register)
		return func() { s.answers(failing(code, trailer...)) }, func() { s.says(isServing) }
	}
}

func failing(code codes.Code, trailer ...string) checkFunc {
	return func(ctx context.Context, _ string) (healthpb.HealthCheckResponse_ServingStatus, error) {
		return 0, errors.Join(grpc.SetTrailer(ctx, metadata.Pairs(trailer...)), status.Error(code, "health: db not ok"))
	}
}

// watched is a grpc-go server whose Watch works until both methods answer with a gRPC
// status. An open Watch then ends with that status, or stays open and silent.
func watched(code codes.Code, ends bool) target {
	return func(r *rig) (ill, well func()) {
		s, turned, back := newStub(), make(chan struct{}), make(chan struct{})
		s.watch = func(stream watchStream) error {
			if closed(turned) && !closed(back) {
				return status.Error(code, "health: db not ok")
			}
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: isServing}); err != nil {
				return err
			}
			if ends && !closed(back) {
				select {
				case <-turned:
					return status.Error(code, "health: db not ok")
				case <-stream.Context().Done():
				}
			}
			<-stream.Context().Done()
			return nil
		}
		r.serve(at, s.register)
		return func() { s.answers(failing(code)); close(turned) }, func() { s.says(isServing); close(back) }
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// intercepted is an embedded server behind an interceptor that can answer every call with a
// gRPC status.
func intercepted(code codes.Code) target {
	return func(r *rig) (ill, well func()) {
		g := &gate{code: code}
		s := newStub()
		s.watch = func(stream watchStream) error {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: isServing}); err != nil {
				return err
			}
			<-stream.Context().Done()
			return nil
		}
		r.serve(at, s.register, grpc.UnaryInterceptor(g.unary), grpc.StreamInterceptor(g.stream))
		return func() { g.shut.Store(true); r.net.Cut(at) }, func() { g.shut.Store(false) }
	}
}

// sent is a server whose Check answers in a way that grpc-go servers do not.
func sent(answer http.HandlerFunc) target {
	return func(r *rig) (ill, well func()) {
		h := r.handle(at)
		return func() { h.answers(answer) }, h.serves
	}
}

// page is an answer with an HTTP status only.
func page(code int) target {
	return sent(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) })
}

// answering runs a test for each target: once with a static instance, and once with a leased
// one whose client renews. The target has served for a minute when f starts.
func answering(t *testing.T, targets map[string]target, f func(r *rig, a *turned)) {
	answeringTo(t, func(*coordinator.Config) {}, targets, f)
}

// answeringTo is answering with another configuration.
func answeringTo(t *testing.T, change func(*coordinator.Config), targets map[string]target, f func(r *rig, a *turned)) {
	for what, start := range targets {
		for kind, leased := range map[string]bool{"static": false, "leased": true} {
			bubbleWith(t, what+"/"+kind, change, func(r *rig) {
				ill, well := start(r)
				if leased {
					r.join(client.Instance{})
				} else {
					r.static(health.ProtocolAuto)
				}
				r.after(time.Minute)
				r.is("pay/a", "SERVING ok")
				a := &turned{leased: leased, since: time.Now(), well: well}
				ill()
				f(r, a)
			})
		}
	}
}

// turned is a target that has just begun to answer in another way.
type turned struct {
	leased bool
	since  time.Time
	well   func()
}

// firstLook bounds the time until the first answer is evaluated: a poll or the probe of a
// Watch, a repetition of it, and another protocol.
const firstLook = 20 * time.Second

// twice checks that the first answer made the instance unconfirmed, and that the second
// answer, at least a second later, led to the wanted state.
func (r *rig) twice(a *turned, want string) {
	r.t.Helper()
	r.after(2 * time.Minute)
	first := r.when("pay/a", a.since, "SERVING ok unconfirmed")
	r.between("unconfirmed", first, 0, firstLook)
	r.between("decided", r.when("pay/a", a.since, want)-first, time.Second, 5*time.Second)
	r.only("pay/a", a.since, "SERVING ok", "SERVING ok unconfirmed", want)
	r.is("pay/a", want)
}

// recovers checks that the instance is SERVING again when the target serves.
func (r *rig) recovers(a *turned) {
	r.t.Helper()
	a.well()
	r.after(2 * time.Minute)
	r.is("pay/a", "SERVING ok")
}

func rowAnsweredError(t *testing.T) {
	targets := map[string]target{}
	for _, code := range []codes.Code{
		codes.Unknown, codes.Internal, codes.InvalidArgument, codes.FailedPrecondition,
		codes.Aborted, codes.OutOfRange, codes.AlreadyExists, codes.DataLoss,
	} {
		targets[code.String()] = answered(code)
	}
	targets["a Watch that ends with it"] = watched(codes.Internal, true)
	targets["a Watch that is silent"] = watched(codes.Unknown, false)
	targets["an interceptor"] = intercepted(codes.Internal)
	targets["through Envoy"] = answered(codes.Internal, "server", "envoy", "x-envoy-upstream-service-time", "3")
	answering(t, targets, func(r *rig, a *turned) {
		r.twice(a, "NOT_SERVING failed")
		r.explained("pay/a", "health: db not ok")
		r.recovers(a)
	})
	bubble(t, "of all targets", func(r *rig) {
		s := newStub()
		r.serve(at, s.register)
		for i := range 12 {
			r.lease(&pb.Registration{Service: "pay", Instance: fmt.Sprint(i), Static: true})
		}
		r.after(time.Minute)
		s.answers(failing(codes.Unknown))
		r.after(time.Minute)
		for i := range 12 {
			r.is(fmt.Sprint("pay/", i), "NOT_SERVING failed")
		}
		if g := r.state().GetGuards(); len(g) > 0 {
			r.t.Errorf("guarded: %v", g)
		}
	})
}

// onThePath checks that an instance is unconfirmed, and after UnreachableAfter NOT_SERVING
// (unreachable) unless its client renews.
func (r *rig) onThePath(a *turned) {
	r.t.Helper()
	r.after(10 * time.Minute)
	first := r.when("pay/a", a.since, "SERVING ok unconfirmed, next unreachable")
	r.between("unconfirmed", first, 0, firstLook)
	if a.leased {
		r.is("pay/a", "SERVING ok unconfirmed")
		if s := r.state(); s.GetUnconfirmed() != 1 || s.GetAmnestyUntil() != nil {
			r.t.Errorf("%d unconfirmed, amnesty until %v", s.GetUnconfirmed(), s.GetAmnestyUntil())
		}
		r.only("pay/a", a.since, "SERVING ok", "SERVING ok unconfirmed")
		r.explained("pay/a", "The coordinator cannot reach it at "+at+", but its client renews the lease, so it is alive")
		return
	}
	r.between("given up", r.when("pay/a", a.since, "NOT_SERVING unreachable")-first, unreachableAfter, unreachableAfter+time.Second)
	r.only("pay/a", a.since, "SERVING ok", "SERVING ok unconfirmed", "NOT_SERVING unreachable")
	r.is("pay/a", "NOT_SERVING unreachable")
}

func rowProxyError(t *testing.T) {
	answering(t, map[string]target{
		"via":               answered(codes.Internal, "via", "1.1 proxy"),
		"via, UNKNOWN":      answered(codes.Unknown, "via", "1.1 google"),
		"Envoy":             answered(codes.DataLoss, "server", "envoy"),
		"Istio":             answered(codes.FailedPrecondition, "server", "istio-envoy"),
		"Envoy, behind via": answered(codes.Internal, "via", "1.1 proxy", "server", "envoy", "x-envoy-upstream-service-time", "3"),
	}, func(r *rig, a *turned) {
		r.onThePath(a)
		r.recovers(a)
	})
}

func rowUnavailable(t *testing.T) {
	targets := map[string]target{
		"a Watch that ends with it": watched(codes.Unavailable, true),
		"an interceptor":            intercepted(codes.Unavailable),
	}
	for _, code := range []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Canceled} {
		targets[code.String()] = answered(code)
	}
	for _, code := range []int{429, 502, 503, 504} {
		targets[fmt.Sprint("HTTP ", code)] = page(code)
	}
	answering(t, targets, func(r *rig, a *turned) {
		r.onThePath(a)
		r.recovers(a)
	})
}

func rowUpstreamUnavailable(t *testing.T) {
	answering(t, map[string]target{
		"Envoy":              answered(codes.Unavailable, "server", "envoy", "x-envoy-upstream-service-time", "3"),
		"whose server hides": answered(codes.Unavailable, "x-envoy-upstream-service-time", "3"),
	}, func(r *rig, a *turned) {
		r.twice(a, "NOT_SERVING failed")
		r.explained("pay/a", "health: db not ok")
		r.recovers(a)
	})
}

// misconfigured checks that an instance becomes UNKNOWN with a cause at once, without another
// state before.
func (r *rig) misconfigured(a *turned, cause health.Cause) {
	r.t.Helper()
	want := "UNKNOWN " + cause.String()
	r.after(3 * time.Minute)
	r.between("UNKNOWN", r.when("pay/a", a.since, want), 0, firstLook)
	r.only("pay/a", a.since, "SERVING ok", want)
	r.is("pay/a", want)
}

func rowConfiguration(t *testing.T) {
	for cause, targets := range map[health.Cause]map[string]target{
		health.CauseUnauthenticated: {
			"UNAUTHENTICATED": answered(codes.Unauthenticated), "PERMISSION_DENIED": answered(codes.PermissionDenied),
			"HTTP 401": page(401), "HTTP 403": page(403),
			"a Watch that ends with it": watched(codes.Unauthenticated, true), "an interceptor": intercepted(codes.PermissionDenied),
			"through Envoy": answered(codes.PermissionDenied, "server", "envoy"),
		},
		health.CauseUnimplemented: {
			"UNIMPLEMENTED": answered(codes.Unimplemented), "HTTP 404": page(404), "an interceptor": intercepted(codes.Unimplemented),
		},
	} {
		answering(t, targets, func(r *rig, a *turned) {
			r.misconfigured(a, cause)
			r.recovers(a)
		})
	}
}

func rowMalformed(t *testing.T) {
	targets := map[string]target{
		"no message":      sent(func(w http.ResponseWriter, _ *http.Request) { reply(w, "0") }),
		"two messages":    sent(func(w http.ResponseWriter, _ *http.Request) { reply(w, "0", serving(), serving()) }),
		"an invalid one":  sent(func(w http.ResponseWriter, _ *http.Request) { reply(w, "0", framed([]byte{0x08})) }),
		"trailing bytes":  sent(func(w http.ResponseWriter, _ *http.Request) { reply(w, "0", append(serving(), 1, 2)) }),
		"too large":       sent(func(w http.ResponseWriter, _ *http.Request) { reply(w, "0", framed(make([]byte, 1<<20))) }),
		"a status beyond": sent(func(w http.ResponseWriter, _ *http.Request) { reply(w, "99") }),
		"no trailers": sent(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			_, _ = w.Write(serving())
		}),
		"an unknown encoding": sent(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Grpc-Encoding", "other")
			m := serving()
			m[0] = 1
			reply(w, "0", m)
		}),
		"a web page": sent(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
	}
	for _, code := range []int{301, 400, 405, 500} {
		targets[fmt.Sprint("HTTP ", code)] = page(code)
	}
	answering(t, targets, func(r *rig, a *turned) {
		r.twice(a, "UNKNOWN malformed")
		r.recovers(a)
	})
}
