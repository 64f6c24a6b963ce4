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

// reportEvery is the longest time between two messages of a Report stream.
const reportEvery = 10 * time.Second

// errReportsEnded means that the coordinator has ended a Report stream without an error.
var errReportsEnded = errors.New("the coordinator does not want reports any more")

// errNoFeed means that the Instance has no Feed, and so no status to push.
var errNoFeed = errors.New("the Instance has no Feed to report from")

// reporter pushes the status of an instance on a Report stream, while the coordinator cannot
// reach the instance. It belongs to one lease, and to the goroutine that renews this lease.
type reporter struct {
	r     *Registration
	lease *pb.Lease
	// kick receives a value when the coordinator has ended the stream because the lease has
	// ended. The goroutine that renews the lease then sends a renewal at once.
	kick chan struct{}
	// unreachable logs that the coordinator cannot reach the instance. It logs this once for
	// each outage, even if several streams are opened during the outage.
	unreachable outage
	// refused logs that the coordinator refuses reports. Only the goroutine of the stream uses
	// this field.
	refused outage

	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine of the stream ends; nil if it was never started
	open   atomic.Bool   // true while a stream is open
}

func newReporter(r *Registration, lease *pb.Lease) *reporter {
	return &reporter{r: r, lease: lease, kick: make(chan struct{}, 1)}
}

// setUnreachable starts or stops the reports after a renewal. The answer to the renewal says
// whether the instance is unreachable for the coordinator. While a stream is open, the answer is
// always false, and is ignored.
func (p *reporter) setUnreachable(unreachable bool) {
	switch {
	case unreachable && p.r.inst.Feed == nil:
		p.unreachable.warn(p.r, "the coordinator cannot reach the instance", errNoFeed)
	case unreachable && !p.running():
		p.start()
	case !unreachable && !p.open.Load():
		p.stop()
		p.unreachable.end(p.r, "the coordinator reaches the instance again")
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

// stop ends the stream and waits for its goroutine.
func (p *reporter) stop() {
	if p.done == nil {
		return
	}
	p.cancel()
	<-p.done
	p.done = nil
}

// run opens one Report stream after another. It returns when the coordinator wants no more
// reports or when ctx ends.
func (p *reporter) run(ctx context.Context) {
	var back backoff
	for {
		life, err := p.stream(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errReportsEnded):
			return
		case isRefusal(err):
			// The next renewal may start the reports again.
			p.refused.warn(p.r, "the coordinator refuses reports, though it cannot reach the instance", err)
			return
		case errors.Is(err, ErrLeaseUnknown), errors.Is(err, ErrSuperseded):
			select {
			case p.kick <- struct{}{}:
			default: // kick already has a value
			}
			return
		}
		back.succeeded(life)
		if !wait(ctx, back.pauseAfter(err)+p.r.c.budget.reserve(time.Now()), nil) {
			return
		}
	}
}

// stream runs one Report stream. life is how long the stream lasted, and err why it ended.
func (p *reporter) stream(ctx context.Context) (life time.Duration, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stream, err := p.r.c.registry.Report(ctx)
	if err != nil {
		return 0, domainError(err)
	}
	began := time.Now()
	p.setOpen(true)
	defer p.setOpen(false)
	var ended sync.WaitGroup
	ended.Go(func() { end(waitForEnd(stream)) })
	if err := p.push(ctx, stream); !errors.Is(err, io.EOF) {
		end(err)
	}
	// waitForEnd returns the reason why the stream has ended, also if a send has failed.
	ended.Wait()
	return time.Since(began), domainError(context.Cause(ctx))
}

func (p *reporter) setOpen(open bool) {
	p.open.Store(open)
	state := StateRegistered
	if open {
		state = StateReporting
	}
	p.r.setState(state)
}

type reportStream = grpc.ClientStreamingClient[pb.ReportRequest, pb.ReportResponse]

// waitForEnd waits until the coordinator ends the stream.
func waitForEnd(stream reportStream) error {
	if err := stream.RecvMsg(new(pb.ReportResponse)); err != nil {
		return err
	}
	return errReportsEnded
}

// push sends the status at once, after each change, and at least every 10 s (the constant
// reportEvery). It returns the error that has ended the stream.
func (p *reporter) push(ctx context.Context, stream reportStream) error {
	reader := p.r.inst.Feed.NewReader(feed.Interest{Services: p.r.inst.names()})
	for {
		if err := waitForChange(ctx, reader); err != nil {
			return err
		}
		m := p.r.inst.report(time.Now())
		m.LeaseId = p.lease.GetLeaseId()
		if err := stream.Send(m); err != nil {
			return err
		}
	}
}

// waitForChange waits for a change in the Feed, but at most 10 s (the constant reportEvery).
func waitForChange(ctx context.Context, reader *feed.Reader) error {
	short, cancel := context.WithTimeout(ctx, reportEvery)
	defer cancel()
	_, err := reader.Next(short)
	if ctx.Err() == nil && short.Err() != nil {
		return nil
	}
	return err
}
