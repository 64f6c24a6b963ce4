package rpc

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// reportSilence is how long a Report stream may say nothing.
const reportSilence = 30 * time.Second

var errReportSilent = errors.New("the instance has stopped reporting")

// reporting is one open Report stream.
type reporting struct {
	s      *Server
	id     health.ID
	lease  uint64
	stream grpc.ClientStreamingServer[pb.ReportRequest, pb.ReportResponse]
}

// Report takes the status of an instance nobody can reach from here. As long
// as the stream is open the instance is not followed.
func (r registryService) Report(stream grpc.ClientStreamingServer[pb.ReportRequest, pb.ReportResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	p := &reporting{s: r.s, stream: stream}
	if p.id, p.lease, err = leased(first, true); err != nil {
		return err
	}
	// Before the instance is not followed any more.
	if _, err := reportOf(first); err != nil {
		return err
	}
	if err := r.s.allow(stream.Context(), actionRegister, p.id); err != nil {
		return wire.GRPC(err)
	}
	return p.run(first)
}

func (p *reporting) run(m *pb.ReportRequest) error {
	ctx := p.stream.Context()
	if err := p.renew(ctx); err != nil {
		return wire.GRPC(err)
	}
	if err := p.observe(ctx, health.Event{Kind: health.EventPushed, On: true}); err != nil {
		return wire.GRPC(err)
	}
	err := p.take(ctx, m)
	if err == nil {
		err = p.receive(ctx)
	}
	p.ended(ctx, err)
	if errors.Is(err, io.EOF) {
		return p.stream.SendAndClose(&pb.ReportResponse{})
	}
	return wire.GRPC(err)
}

// receive takes messages until the stream ends or says nothing for too long.
func (p *reporting) receive(ctx context.Context) error {
	type received struct {
		m   *pb.ReportRequest
		err error
	}
	messages := make(chan received)
	// It ends with the stream, which ends when this handler returns.
	go func() {
		for {
			m, err := p.stream.Recv()
			select {
			case messages <- received{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	silence := time.NewTimer(reportSilence)
	defer silence.Stop()
	for {
		select {
		case got := <-messages:
			if got.err != nil {
				return got.err
			}
			if err := p.renewed(ctx, got.m); err != nil {
				return err
			}
			silence.Reset(reportSilence)
		case <-silence.C:
			return errReportSilent
		case <-p.s.health.Ended():
			return wire.ErrStopping
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// renewed takes a message under a lease that must still be the name's.
func (p *reporting) renewed(ctx context.Context, m *pb.ReportRequest) error {
	if err := p.renew(ctx); err != nil {
		return err
	}
	return p.take(ctx, m)
}

func (p *reporting) renew(ctx context.Context) error {
	_, _, err := p.s.cfg.Registry.Renew(ctx, p.id, p.lease)
	return err
}

func (p *reporting) take(ctx context.Context, m *pb.ReportRequest) error {
	report, err := reportOf(m)
	if err != nil {
		return err
	}
	return p.observe(ctx, health.Event{Kind: health.EventReport, Report: report})
}

func reportOf(m *pb.ReportRequest) (health.Report, error) {
	report, ok := wire.ReportFromPush(m, time.Now())
	if !ok {
		var v wire.Violations
		v.Add("status", "is %d; allowed: SERVING, DEGRADED, NOT_SERVING, STARTING, DRAINING or MAINTENANCE", m.GetStatus())
		return health.Report{}, v.Err()
	}
	return report, nil
}

func (p *reporting) observe(ctx context.Context, ev health.Event) error {
	ev.ID, ev.Lease = p.id, p.lease
	return p.s.cfg.Registry.Observe(ctx, ev, time.Time{})
}

// ended lets the instance be followed again. Its silence is evidence against
// the path; that a stream broke is not.
func (p *reporting) ended(ctx context.Context, err error) {
	// The stream's context is over, but the registry is still there.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	_ = p.observe(ctx, health.Event{Kind: health.EventPushed})
	if errors.Is(err, errReportSilent) {
		_ = p.observe(ctx, health.Event{Kind: health.EventPath, Reason: errReportSilent.Error()})
	}
}
