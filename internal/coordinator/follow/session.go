package follow

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// session is one stream, or one series of polls over one connection. All its answers come from
// one process, unless a proxy forwards the calls. A session passes the answers as evidence to
// the registry. If no answer comes, follower.report passes the error as evidence.
type session struct {
	f      *follower
	source health.Source
	number uint64 // number of this stream or series of polls, unique within the manager
	via    string // reason for which no better protocol is in use; empty if the best protocol is in use

	reply   reply       // reply of the stream, or of the last Check
	proven  atomic.Bool // a reply contained the proof that the registered process has answered
	proxied atomic.Bool // the headers or trailers of a reply named a proxy

	mu   sync.Mutex
	last targetAnswer
}

// targetAnswer is the last answer of the target about the health name, which is the service name in
// health requests. If the target does not know the health name, the answer is about the name "".
type targetAnswer struct {
	valid  bool // true if the answer is a valid status, false if it is an error
	named  bool // true if the answer is about Spec.HealthName, false if it is about ""
	status health.Status
	at     time.Time // time at which the answer came
	count  int       // number of answers so far; equal answers in a row count once
}

// newSession returns a session (one stream, or one series of polls) with a new number.
func newSession(f *follower, source health.Source) *session {
	return &session{f: f, source: source, number: f.sessions.Add(1), via: f.learnt.via}
}

// nonceBytes is the length in bytes of a nonce: the random value for which a process returns a
// proof.
const nonceBytes = 16

// callContext returns a context for one call or stream whose reply is recorded in r. If the
// registered process can prove its answers, the context carries a new nonce. Otherwise nonce
// is nil.
func (s *session) callContext(ctx context.Context, r *reply) (_ context.Context, nonce []byte) {
	ctx = withReply(ctx, r)
	if !s.f.spec.Proves {
		return ctx, nil
	}
	nonce = make([]byte, nonceBytes)
	_, _ = rand.Read(nonce) // since Go 1.24 rand.Read never returns an error: it ends the process instead
	return wire.WithNonce(ctx, nonce), nonce
}

// identify reports whether the header of a reply proves that the registered process has
// answered. If the header proves that another process has answered, the error is errStranger.
func (s *session) identify(r *reply, nonce []byte) (proven bool, err error) {
	if r.proxied() {
		s.proxied.Store(true)
	}
	if nonce == nil {
		return false, nil
	}
	switch proof := wire.ProofOf(r.received().header); {
	case proof == nil:
		return false, nil
	case s.f.spec.Key.Proves(nonce, proof):
		return true, nil
	}
	return false, errStranger
}

// startStream opens a stream and waits for its first message. proven is true if the reply proves
// that the registered process has answered. If another process has answered, err is errStranger.
func startStream[M any](ctx context.Context, s *session, r *reply, open func(context.Context) (grpc.ServerStreamingClient[M], error)) (stream grpc.ServerStreamingClient[M], first *M, proven bool, err error) {
	call, nonce := s.callContext(ctx, r)
	if stream, err = open(call); err != nil {
		return nil, nil, false, err
	}
	if first, err = stream.Recv(); err != nil {
		return nil, nil, false, err
	}
	proven, err = s.identify(r, nonce)
	return stream, first, proven, err
}

// reportStatus passes to the registry a status that the target has sent.
func (s *session) reportStatus(ctx context.Context, r mesh.Report) {
	s.setLast(targetAnswer{valid: true, named: r.Named, status: r.Status})
	if r.Named {
		s.f.learnt.named.Store(true)
	}
	s.f.figures.Store(r.Metrics)
	r.Source, r.Via = s.source, s.via
	s.reportAnswer(ctx, mesh.Event{Kind: mesh.EventReport, Report: r, Proven: s.proven.Load()})
}

// confirmLast reports that the last status is still true. It reports nothing if the last
// answer was no status. proven says whether the confirmation is proven to come from the
// registered process.
func (s *session) confirmLast(ctx context.Context, proven bool) {
	if s.lastAnswer().valid {
		s.reportAnswer(ctx, mesh.Event{Kind: mesh.EventAlive, Proven: proven})
	}
}

// confirmAlive reports only that the target has answered, but no status. It is used if the status
// in the answer is less precise than an earlier status on the same connection.
func (s *session) confirmAlive(ctx context.Context) {
	s.reportAnswer(ctx, mesh.Event{Kind: mesh.EventAlive, Proven: s.proven.Load()})
}

// reportFinding reports an answer that contains no status of a requested name. waitBegan is the
// time at which the Check began, or zero if the answer came on a stream.
func (s *session) reportFinding(ctx context.Context, found finding, waitBegan time.Time) {
	if found.kind == unknownName || found.kind == targetFailed { // the target implements the protocol
		s.f.source.set(s.source)
	}
	s.setLast(targetAnswer{})
	s.f.report(ctx, found, waitBegan)
}

func (s *session) reportAnswer(ctx context.Context, ev mesh.Event) {
	s.f.source.set(s.source)
	if !s.proxied.Load() {
		ev.Session = s.number
	}
	s.f.observe(ctx, ev, time.Time{})
}

func (s *session) setLast(a targetAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.last; was.count > 0 && was.valid == a.valid && was.named == a.named && was.status == a.status {
		return
	}
	a.at, a.count = time.Now(), s.last.count+1
	s.last = a
}

func (s *session) lastAnswer() targetAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// endedBy returns why a stream ended. err is the error of the stream. waitBegan is the time at
// which the last answer came. If no answer came, it is the time at which the stream began.
func (s *session) endedBy(err error, waitBegan time.Time) ended {
	end := ended{err: err, since: waitBegan, answered: s.lastAnswer().count > 0}
	switch {
	case errors.Is(err, errNoRoom):
		end.found = quotaFinding()
	case errors.Is(err, errNoAnswer):
		end.found = finding{kind: malformed, cause: health.CauseMalformed, reason: errNoAnswer.Error()}
	case !endedByUs(err):
		end.found = classifyCall(err, &s.reply)
	}
	if end.found.kind == noQuota && end.found.waited {
		end.err = errNoRoom
	}
	return end
}

// stockStatus translates a status of grpc.health.v1 and the trailers of a Check into a report.
// If the status is SERVICE_UNKNOWN or not valid, the returned finding says so.
func (s *session) stockStatus(status healthpb.HealthCheckResponse_ServingStatus, trailer metadata.MD) (mesh.Report, finding) {
	if status == healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		return mesh.Report{}, unknownNameFinding(s.f.names())
	}
	r, ok := reportOf(int32(status), trailer)
	if !ok {
		return r, finding{
			kind: malformed, cause: health.CauseMalformed,
			reason: wire.Clean("the target answers with a status grpc.health.v1 does not have: " + status.String()),
		}
	}
	return r, finding{}
}

// reportOf translates a status of grpc.health.v1 into a report. status is the number in the
// message. The trailers of a Check may have a more precise status, and its cause. Without such
// trailers, the report has the status of the message and the cause CauseNone. For CauseNone the
// registry uses the usual cause of the status. ok is false if the number is not valid.
func reportOf(status int32, trailer metadata.MD) (r mesh.Report, ok bool) {
	switch status {
	case 0:
		r.Status = health.Unknown
	case 1:
		r.Status = health.Serving
	case 2:
		r.Status = health.NotServing
	default:
		return r, false
	}
	if values := trailer.Get(wire.TrailerStatus); len(values) == 1 {
		if precise, known := health.ParseStatus(values[0]); known && refines(precise, status) {
			r.Status = precise
		}
	}
	if values := trailer.Get(wire.TrailerCause); len(values) == 1 && r.Status.GRPC() == status {
		r.Cause, _ = health.ParseCause(values[0])
	}
	return r, true
}

// refines reports whether s, a status from trailers, fits the number of the grpc.health.v1
// status of the same answer. It fits if grpc.health.v1 has this number for s. DEGRADED also
// fits NOT_SERVING, because a server may show NOT_SERVING while it is DEGRADED.
func refines(s health.Status, number int32) bool {
	return s.GRPC() == number || s == health.Degraded && number == health.NotServing.GRPC()
}
