package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// reportSilence is the longest allowed time between two messages of a Report stream.
	reportSilence = 30 * time.Second
	// maxReadPerSecond is the largest number of messages that are read in one second from a stream
	// that exceeds its budget. If it sends more, HTTP/2 flow control blocks the sender until the
	// second has ended.
	maxReadPerSecond = 2000
)

var errReportSilent = errors.New("the instance has stopped reporting")

// reportStream is one open Report stream, on which an instance pushes its status.
type reportStream struct {
	cfg      *Config
	stopping <-chan struct{} // closed when the server begins to stop
	stream   grpc.ClientStreamingServer[pb.ReportRequest, pb.ReportResponse]
	messages chan received
	ended    error // error with which the stream has ended while limitRate read from it; otherwise nil

	rights *access.Rights  // of the caller; the stream ends when they change
	by     wire.Registrant // the caller, with OwnOnly as its right to report says

	// The first message of the stream contains the name and the lease of the instance.
	id      health.ID
	lease   uint64
	leaseID string
}

// received is the result of one call of Recv: a message or an error.
type received struct {
	m   *pb.ReportRequest
	err error
}

// Report receives the status of an instance that the coordinator cannot reach. While the stream is
// open, the coordinator does not call the instance.
func (r registryService) Report(stream grpc.ClientStreamingServer[pb.ReportRequest, pb.ReportResponse]) error {
	s := &reportStream{cfg: r.cfg, stopping: r.stopping, stream: stream, messages: make(chan received)}
	go s.receive(stream.Context())
	first, err := s.next(stream.Context())
	if err != nil && !errors.Is(err, io.EOF) {
		return reportError(err)
	}
	// If the client ends the stream without a message, first is nil and is refused like an empty
	// message.
	if s.id, s.lease, err = parseLeaseRequest(first, true); err != nil {
		return err
	}
	s.leaseID = first.GetLeaseId()
	// The first report is checked before the coordinator stops calling the instance.
	if _, err := parseReport(first); err != nil {
		return err
	}
	if err := r.cfg.check(stream.Context(), access.VerbReport, access.Of(s.id)); err != nil {
		return err
	}
	peer := callerAddr(stream.Context())
	s.rights = r.cfg.Access.Rights(stream.Context())
	s.by = registrantOf(s.rights, peer)
	s.by.OwnOnly = s.by.OwnOnly && !s.rights.ReportsOthers(access.Of(s.id))
	r.cfg.Access.noteStream(stream.Context(), func(l *learner) { l.reported(s.rights, s.id, peer) })
	return s.run(first)
}

func (s *reportStream) run(first *pb.ReportRequest) error {
	ctx := s.stream.Context()
	if err := s.renew(ctx); err != nil {
		return wire.GRPC(err)
	}
	if err := s.stopFollowing(ctx); err != nil {
		return wire.GRPC(err)
	}
	m, err := s.limitRate(ctx, first)
	if err == nil {
		err = s.apply(ctx, m)
	}
	for err == nil {
		err = s.applyNext(ctx)
	}
	s.resumeFollowing(ctx, err)
	if errors.Is(err, io.EOF) {
		return s.stream.SendAndClose(&pb.ReportResponse{})
	}
	return reportError(err)
}

// reportError returns the gRPC error for the end of a stream. If the client has sent nothing for
// too long, the code of the error is DEADLINE_EXCEEDED.
func reportError(err error) error {
	if errors.Is(err, errReportSilent) {
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return wire.GRPC(err)
}

// receive passes the messages of the stream to s.messages. It returns when the context of the stream
// ends, at the latest when the handler returns.
func (s *reportStream) receive(ctx context.Context) {
	for {
		m, err := s.stream.Recv()
		select {
		case s.messages <- received{m, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// next waits for the next message of the stream. If none comes within reportSilence, it returns an
// error.
func (s *reportStream) next(ctx context.Context) (*pb.ReportRequest, error) {
	if s.ended != nil {
		return nil, s.ended
	}
	silence := time.NewTimer(reportSilence)
	defer silence.Stop()
	select {
	case got := <-s.messages:
		return got.m, got.err
	case <-silence.C:
		return nil, errReportSilent
	case <-s.stopping:
		return nil, domain.ErrStopping
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// applyNext waits for one message and applies it. It returns an error if the lease of the instance
// is no longer valid at that time.
func (s *reportStream) applyNext(ctx context.Context) error {
	m, err := s.next(ctx)
	if err != nil {
		return err
	}
	if m, err = s.limitRate(ctx, m); err != nil {
		return err
	}
	if err := s.renew(ctx); err != nil {
		return err
	}
	return s.apply(ctx, m)
}

// limitRate returns m if the budget of the instance allows one more message. Otherwise it reads
// messages for one second and returns only the last of them.
func (s *reportStream) limitRate(ctx context.Context, m *pb.ReportRequest) (*pb.ReportRequest, error) {
	if err := s.checkSame(m); err != nil || s.withinBudget() {
		return m, err
	}
	second := time.NewTimer(time.Second)
	defer second.Stop()
	messages := s.messages
	for read := 1; ; read++ {
		if read == maxReadPerSecond {
			messages = nil
		}
		select {
		case got := <-messages:
			if s.ended = got.err; got.err != nil {
				return m, nil
			}
			if err := s.checkSame(got.m); err != nil {
				return nil, err
			}
			s.withinBudget() // dropped messages also use the budget, so that it stays empty during a flood
			s.cfg.Budgets.Drop(1)
			m = got.m
		case <-second.C:
			return m, nil
		case <-s.stopping:
			return nil, domain.ErrStopping
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// withinBudget counts one message. It returns true if the budget of the instance allows it.
func (s *reportStream) withinBudget() bool { return s.cfg.Budgets.Take(s.id, time.Now()) }

// checkSame refuses a message with another instance or lease than the first message. In later
// messages, the instance and the lease may be empty.
func (s *reportStream) checkSame(m *pb.ReportRequest) error {
	var v wire.Violations
	for _, f := range []struct{ field, value, first string }{
		{"service", m.GetService(), s.id.Service},
		{"instance", m.GetInstance(), s.id.Instance},
		{"lease_id", m.GetLeaseId(), s.leaseID},
	} {
		if f.value != "" && f.value != f.first {
			v.Add(f.field, "is not that of the stream's first message; allowed: the same, or none")
		}
	}
	return v.Err()
}

// renew renews the lease of the instance. It returns an error if the caller may not report for the instance.
func (s *reportStream) renew(ctx context.Context) error {
	_, _, err := s.cfg.Registry.Renew(ctx, s.id, s.lease, s.by)
	if errors.Is(err, domain.ErrNotAllowed) {
		err = fmt.Errorf("%w, or report in a rule for %s", err, s.id.Service)
	}
	return s.cfg.noteDenied(ctx, s.rights, access.VerbReport, access.Of(s.id), err)
}

// apply passes the status in a message to the registry, as evidence about the instance.
func (s *reportStream) apply(ctx context.Context, m *pb.ReportRequest) error {
	report, err := parseReport(m)
	if err != nil {
		return err
	}
	return s.observe(ctx, mesh.Event{Kind: mesh.EventReport, Report: report})
}

func parseReport(m *pb.ReportRequest) (mesh.Report, error) {
	report, ok := wire.ReportFromPush(m, time.Now())
	if !ok {
		var v wire.Violations
		v.Add("status", "is %d; allowed: SERVING, DEGRADED, NOT_SERVING, STARTING, DRAINING or MAINTENANCE", m.GetStatus())
		return mesh.Report{}, v.Err()
	}
	return report, nil
}

func (s *reportStream) observe(ctx context.Context, ev mesh.Event) error {
	ev.ID, ev.Lease = s.id, s.lease
	return s.cfg.Registry.Observe(ctx, ev, time.Time{})
}

// stopFollowing tells the registry that the instance now pushes its status. The coordinator then
// stops calling the instance.
func (s *reportStream) stopFollowing(ctx context.Context) error {
	return s.observe(ctx, mesh.Event{Kind: mesh.EventPushed, On: true, Peer: callerAddr(ctx)})
}

// resumeFollowing tells the registry that the stream has ended with err. The coordinator then calls
// the instance again, unless the instance has another open Report stream. If the stream has ended
// because no message came, the instance may be unreachable, and the registry is told this too. An
// end for another reason says nothing about the instance.
func (s *reportStream) resumeFollowing(ctx context.Context, err error) {
	// The context of the stream has ended, but the registry must get the event anyway.
	ctx = context.WithoutCancel(ctx)
	_ = s.observe(ctx, mesh.Event{Kind: mesh.EventPushed})
	if errors.Is(err, errReportSilent) {
		_ = s.observe(ctx, mesh.Event{Kind: mesh.EventPath, Reason: errReportSilent.Error()})
	}
}
