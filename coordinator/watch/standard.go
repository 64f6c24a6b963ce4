package watch

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// probeEvery is how often a stock Watch, which has no heartbeats, is asked
	// for a sign of life on its connection.
	probeEvery = 10 * time.Second
	// probeAgain is when, after one that was not answered in time.
	probeAgain = 2 * time.Second
	// checkTimeout bounds one Check.
	checkTimeout = 4 * time.Second
)

// standard follows by the Watch of grpc.health.v1.
func (f *follower) standard(ctx context.Context, conn *grpc.ClientConn) (end ended) {
	names := f.names()
	for i, name := range names {
		unknown := false
		end, unknown = f.stock(ctx, conn, name, i == len(names)-1)
		if !unknown {
			return end
		}
	}
	return end
}

// stock follows one name. unknown: the target does not know it, and there is
// another to try.
func (f *follower) stock(ctx context.Context, conn *grpc.ClientConn, name string, last bool) (end ended, unknown bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &probe{f: f, name: name, conn: conn, client: healthpb.NewHealthClient(conn), again: func() { cancel(nil) }}
	every := f.w.cfg.pace(probeEvery)
	defer f.listening(&silence{
		probe: func() { p.start(ctx) }, every: every,
		probeAt: time.Now().Add(rand.N(every)),
	})()
	end.since = time.Now()
	stream, err := p.client.Watch(ctx, &healthpb.HealthCheckRequest{Service: name})
	for err == nil {
		var m *healthpb.HealthCheckResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		end.heard, end.since = true, time.Now()
		if m.GetStatus() == healthpb.HealthCheckResponse_SERVICE_UNKNOWN && !last {
			return end, true
		}
		f.setSource(health.SourceWatch)
		p.valid.Store(f.said(ctx, m.GetStatus(), health.SourceWatch))
	}
	end.err = err
	return end, false
}

// said takes a status of grpc.health.v1, and reports whether it is one.
func (f *follower) said(ctx context.Context, s healthpb.HealthCheckResponse_ServingStatus, by health.Source) (valid bool) {
	r := health.Report{Source: by}
	switch s {
	case healthpb.HealthCheckResponse_SERVING:
		r.Status = health.Serving
	case healthpb.HealthCheckResponse_NOT_SERVING:
		r.Status = health.NotServing
	case healthpb.HealthCheckResponse_UNKNOWN:
		r.Status = health.Unknown
	case healthpb.HealthCheckResponse_SERVICE_UNKNOWN:
		f.tell(ctx, noSuchName(f.names()), time.Time{})
		return false
	default:
		f.tell(ctx, finding{
			about: configuration, cause: health.CauseUnimplemented,
			reason: wire.Clean("the target answers with a status grpc.health.v1 does not have: " + s.String()),
		}, time.Time{})
		return false
	}
	f.report(ctx, r)
	return true
}

// probe asks for signs of life, one at a time.
type probe struct {
	f      *follower
	name   string
	conn   *grpc.ClientConn
	client healthpb.HealthClient
	again  func() // ends the Watch, so that it is opened anew
	valid  atomic.Bool
	busy   atomic.Bool
	missed bool // the last one; whoever is busy owns it
}

// start is called by who listens, whom Run waits for too.
func (p *probe) start(ctx context.Context) {
	if ctx.Err() == nil && p.busy.CompareAndSwap(false, true) {
		p.f.w.wg.Go(func() {
			defer p.busy.Store(false)
			p.ask(ctx)
		})
	}
}

// ask takes any answer of the target for a sign of life: what the Watch said
// last still holds. The answer itself may be older than that, and is not
// looked at. None in time is evidence against the path; after that only what a
// new Watch says is believed. That the connection broke, the stream will tell.
func (p *probe) ask(ctx context.Context) {
	began := time.Now()
	call, cancel := context.WithTimeout(ctx, p.f.w.cfg.patient(checkTimeout))
	defer cancel()
	_, err := p.client.Check(call, &healthpb.HealthCheckRequest{Service: p.name})
	switch code := status.Code(err); {
	case code == codes.DeadlineExceeded:
		p.missed = true
		p.f.endpoint.missed(p.conn)
		p.f.tell(ctx, classifyCall(err, true), began)
		p.f.probeIn(probeAgain)
	case code == codes.Unavailable || code == codes.Canceled:
	case p.missed:
		p.f.endpoint.answered()
		p.again()
	case p.valid.Load():
		p.f.endpoint.answered()
		p.f.alive(ctx)
	}
}

// probeIn brings the next probe nearer.
func (f *follower) probeIn(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silence != nil {
		f.silence.probeAt = time.Now().Add(d)
	}
}
