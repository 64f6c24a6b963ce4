package rpc

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// reportSilence is how long a Report stream may say nothing.
const reportSilence = 30 * time.Second

var errReportSilent = errors.New("the instance has stopped reporting")

// reporting is one open Report stream.
type reporting struct {
	s        *Server
	id       health.ID
	lease    uint64
	leaseID  string
	stream   grpc.ClientStreamingServer[pb.ReportRequest, pb.ReportResponse]
	messages chan received
}

type received struct {
	m   *pb.ReportRequest
	err error
}

// Report takes the status of an instance nobody can reach from here. As long
// as the stream is open the instance is not followed.
func (r registryService) Report(stream grpc.ClientStreamingServer[pb.ReportRequest, pb.ReportResponse]) error {
	p := &reporting{s: r.s, stream: stream, messages: make(chan received)}
	go p.receive(stream.Context())
	first, err := p.next(stream.Context())
	if err != nil && !errors.Is(err, io.EOF) {
		return answer(err)
	}
	// No message at all is as bad as an empty one.
	if p.id, p.lease, err = leased(first, true); err != nil {
		return err
	}
	p.leaseID = first.GetLeaseId()
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
	if err := p.begin(ctx); err != nil {
		return wire.GRPC(err)
	}
	err := p.take(ctx, m)
	for err == nil {
		if m, err = p.next(ctx); err == nil {
			err = p.renewed(ctx, m)
		}
	}
	p.end(ctx, err)
	if errors.Is(err, io.EOF) {
		return p.stream.SendAndClose(&pb.ReportResponse{})
	}
	return answer(err)
}

// answer returns what a stream ends with. Its silence is nobody's fault here.
func answer(err error) error {
	if errors.Is(err, errReportSilent) {
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return wire.GRPC(err)
}

// receive hands over messages. It ends with the stream, which ends when the
// handler returns.
func (p *reporting) receive(ctx context.Context) {
	for {
		m, err := p.stream.Recv()
		select {
		case p.messages <- received{m, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// next waits for a message, but not for ever.
func (p *reporting) next(ctx context.Context) (*pb.ReportRequest, error) {
	silence := time.NewTimer(reportSilence)
	defer silence.Stop()
	select {
	case got := <-p.messages:
		return got.m, got.err
	case <-silence.C:
		return nil, errReportSilent
	case <-p.s.health.Ended():
		return nil, wire.ErrStopping
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// renewed takes a message under a lease that must still be the name's.
func (p *reporting) renewed(ctx context.Context, m *pb.ReportRequest) error {
	if err := p.sameAs(m); err != nil {
		return err
	}
	if err := p.renew(ctx); err != nil {
		return err
	}
	return p.take(ctx, m)
}

// sameAs refuses a message about another instance than the first one's. It need
// not be named again.
func (p *reporting) sameAs(m *pb.ReportRequest) error {
	var v wire.Violations
	for _, f := range []struct{ field, value, first string }{
		{"service", m.GetService(), p.id.Service},
		{"instance", m.GetInstance(), p.id.Instance},
		{"lease_id", m.GetLeaseId(), p.leaseID},
	} {
		if f.value != "" && f.value != f.first {
			v.Add(f.field, "is not that of the stream's first message; allowed: the same, or none")
		}
	}
	return v.Err()
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

// begin keeps the instance from being followed.
func (p *reporting) begin(ctx context.Context) error {
	return p.observe(ctx, health.Event{Kind: health.EventPushed, On: true})
}

// end lets it be followed again, unless another stream goes on. Silence is
// evidence against the path; that a stream broke is not.
func (p *reporting) end(ctx context.Context, err error) {
	// The stream's context is over, but the registry is still there, or is about
	// to end and says so.
	ctx = context.WithoutCancel(ctx)
	_ = p.observe(ctx, health.Event{Kind: health.EventPushed})
	if errors.Is(err, errReportSilent) {
		_ = p.observe(ctx, health.Event{Kind: health.EventPath, Reason: errReportSilent.Error()})
	}
}
