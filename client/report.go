package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health/feed"
)

// reportEvery is how often the status is pushed at least.
const reportEvery = 10 * time.Second

// errDismissed: the coordinator ended a Report stream without an error.
var errDismissed = errors.New("the coordinator does not want reports any more")

// errNoFeed: there is nothing to report.
var errNoFeed = errors.New("it has no Feed to report from")

// reporter pushes the status of an instance the coordinator cannot reach. It
// belongs to one lease, and to the goroutine that renews it.
type reporter struct {
	r     *Registration
	lease *pb.Lease
	// kick wakes the renewals: the stream has learnt that the lease is over.
	kick chan struct{}
	// unreachable is an outage the log is told of once, however often we start.
	unreachable outage

	cancel context.CancelFunc
	done   chan struct{} // nil: never started
	open   atomic.Bool
}

func newReporter(r *Registration, lease *pb.Lease) *reporter {
	return &reporter{r: r, lease: lease, kick: make(chan struct{}, 1)}
}

// wanted is told what each renewal said. While a stream is open the
// coordinator finds the instance reachable just because of it, so that only
// without one its word counts.
func (p *reporter) wanted(unreachable bool) {
	switch {
	case unreachable && p.r.inst.Feed == nil:
		p.unreachable.warn(p.r, "the coordinator cannot reach the instance", errNoFeed)
	case unreachable && !p.running():
		p.start()
	case !unreachable && !p.open.Load():
		p.stop()
		p.unreachable.over(p.r, "the coordinator reaches the instance again")
	}
}

func (p *reporter) running() bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *reporter) start() {
	p.stop()
	p.unreachable.warn(p.r, "the coordinator cannot reach the instance; reporting to it", nil)
	ctx, cancel := context.WithCancel(p.r.loop)
	done := make(chan struct{})
	p.cancel, p.done = cancel, done
	go func() {
		defer close(done)
		p.run(ctx)
	}()
}

// stop ends the reports and waits for that.
func (p *reporter) stop() {
	if p.done == nil {
		return
	}
	p.cancel()
	<-p.done
	p.done = nil
}

// run reports until the coordinator has had enough.
func (p *reporter) run(ctx context.Context) {
	var back backoff
	for {
		life, err := p.stream(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errDismissed), refusal(err):
			// A refusal is tried again when the next renewal asks for it.
			p.r.c.log.Debug("no more reports", "name", p.r.inst.id().String(), "error", err)
			return
		case errors.Is(err, ErrLeaseUnknown), errors.Is(err, ErrSuperseded):
			select {
			case p.kick <- struct{}{}:
			default: // it is kicked already
			}
			return
		}
		back.lived(life)
		if !wait(ctx, back.after(err)+p.r.c.budget.reserve(time.Now()), nil) {
			return
		}
	}
}

// stream is one Report stream. It returns how long it lived and why it ended.
func (p *reporter) stream(ctx context.Context) (life time.Duration, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stream, err := p.r.c.registry.Report(ctx)
	if err != nil {
		return 0, ours(err)
	}
	began := time.Now()
	p.opened(true)
	defer p.opened(false)
	var ended sync.WaitGroup
	ended.Go(func() { end(outcome(stream)) })
	if err := p.push(ctx, stream); !errors.Is(err, io.EOF) {
		end(err)
	}
	// What failed to be sent has its reason in what is received.
	ended.Wait()
	return time.Since(began), ours(context.Cause(ctx))
}

func (p *reporter) opened(open bool) {
	p.open.Store(open)
	state := StateRegistered
	if open {
		state = StateReporting
	}
	p.r.setState(state)
}

type reportStream = grpc.ClientStreamingClient[pb.ReportRequest, pb.ReportResponse]

// outcome waits for the coordinator to end the stream.
func outcome(stream reportStream) error {
	if err := stream.RecvMsg(new(pb.ReportResponse)); err != nil {
		return err
	}
	return errDismissed
}

// push sends the status now, whenever it changes, and every so often, until
// that is not possible any more.
func (p *reporter) push(ctx context.Context, stream reportStream) error {
	reader := p.r.inst.Feed.NewReader(feed.Interest{Services: p.r.inst.names()})
	for {
		if err := changed(ctx, reader); err != nil {
			return err
		}
		m := p.r.inst.report(time.Now())
		m.LeaseId = p.lease.GetLeaseId()
		if err := stream.Send(m); err != nil {
			return err
		}
	}
}

// changed waits for news, but no longer than reportEvery.
func changed(ctx context.Context, reader *feed.Reader) error {
	short, cancel := context.WithTimeout(ctx, reportEvery)
	defer cancel()
	_, err := reader.Next(short)
	if ctx.Err() == nil && short.Err() != nil {
		return nil
	}
	return err
}
