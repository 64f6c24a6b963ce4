package watch

import (
	"context"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
)

// polled is a target that has Check only, over one connection.
type polled struct {
	f     *follower
	ctx   context.Context
	conn  *grpc.ClientConn
	names []string
	end   ended
	// What is sent and received is used again and again.
	request  healthpb.HealthCheckRequest
	response healthpb.HealthCheckResponse
}

// poll follows by the Check of grpc.health.v1. It goes on as long as there are
// answers, or none in time; anything else ends it, and the chain begins anew.
func (f *follower) poll(ctx context.Context, conn *grpc.ClientConn) ended {
	p := &polled{f: f, ctx: ctx, conn: conn, names: f.names()}
	s := newSpoke(p)
	f.w.wheel.add(s)
	select {
	case <-s.done:
		return p.end
	case <-f.gone:
	case <-ctx.Done():
	}
	f.w.wheel.remove(s)
	<-s.done
	if p.end.err == nil {
		p.end.err = io.EOF
	}
	return p.end
}

func (p *polled) doubtful() bool { return p.f.cadence.missed > 0 }

// ask makes one Check.
func (p *polled) ask() next {
	if p.conn.GetState() != connectivity.Ready {
		p.end.err = io.EOF // else gRPC would dial, and not when we want to
		return next{ends: true}
	}
	began, patience := time.Now(), p.f.w.cfg.patient(checkTimeout)
	p.end.since = began
	err := p.check(patience)
	switch code := status.Code(err); {
	case err == nil:
		return p.answered(p.response.GetStatus())
	case code == codes.DeadlineExceeded:
		p.missed(err, time.Since(began) > patience+lateSlack)
		return next{in: p.f.cadence.next(rand.Float64()), after: true}
	case code == codes.NotFound && len(p.names) > 1:
		p.names = p.names[1:]
		return next{after: true}
	}
	p.end.err = err
	return next{ends: true}
}

func (p *polled) check(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	p.request.Service = p.names[0]
	return p.conn.Invoke(ctx, healthpb.Health_Check_FullMethodName, &p.request, &p.response)
}

// answered takes an answer in. What was connected to together is not asked
// together for ever: after the first answer comes a part of an interval.
func (p *polled) answered(s healthpb.HealthCheckResponse_ServingStatus) next {
	first := !p.end.heard
	p.end.heard = true
	p.f.endpoint.answered()
	p.f.cadence.answered(s)
	p.f.setSource(health.SourcePoll)
	p.f.said(p.ctx, s, health.SourcePoll)
	in := p.f.cadence.next(rand.Float64())
	if first {
		in = rand.N(in)
	}
	return next{in: in}
}

// missed tells that there was no answer in time, unless we ourselves were late
// meanwhile: it may be here, unread.
func (p *polled) missed(err error, ours bool) {
	if ours || p.f.w.wheel.wasLate(p.end.since) || p.ctx.Err() != nil {
		return
	}
	p.f.cadence.missed++
	p.f.endpoint.missed(p.conn)
	p.f.tell(p.ctx, classifyCall(err, p.end.heard), p.end.since)
}

func (p *polled) unasked(ctx context.Context, long time.Duration) {
	p.f.observe(ctx, health.Event{
		Kind:   health.EventUnasked,
		Reason: "the coordinator has more to poll than it can, and did not ask for " + long.String(),
	}, time.Time{})
}
