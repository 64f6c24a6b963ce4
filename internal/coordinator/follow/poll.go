package follow

import (
	"cmp"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/late"
)

const (
	// floodInterval is the poll interval of a target that has sent more messages than
	// Config.Budgets permits.
	floodInterval = time.Second
	// retryCutAfter is the delay of the next Check after a first reply that ended before it was
	// complete.
	retryCutAfter = 100 * time.Millisecond
)

// followByPolls follows the instance by the Check of grpc.health.v1. It returns when the
// connection has broken, or when a better protocol must be tried. It continues if the target
// answers a Check with an error.
func (f *follower) followByPolls(ctx context.Context, conn *grpc.ClientConn) ended {
	f.learnt.via = cmp.Or(f.learnt.stock.distrusted, f.learnt.via)
	p := &poller{session: newSession(f, health.SourcePoll), ctx: ctx, conn: conn}
	if f.learnt.stock.distrusted != "" && !f.learnt.stock.noTrial && !f.learnt.onPollConn() {
		p.trial = startTrial(ctx, f, conn)
		defer p.trial.stop()
	}
	task := newPollTask(p)
	f.polls.add(task)
	select {
	case <-task.done:
	case <-f.gone:
	case <-ctx.Done():
	}
	f.polls.remove(task)
	<-task.done
	return ended{err: cmp.Or(p.err, io.EOF), answered: true, since: p.began}
}

// poller polls one target over one connection. It implements pollTarget for the poll scheduler.
type poller struct {
	*session
	ctx      context.Context
	conn     *grpc.ClientConn
	trial    *watchTrial // Watch that is not trusted, and is compared with the answers to the polls; or nil
	began    time.Time   // time at which the Check in progress began
	answered bool        // a Check was answered with a status
	err      error       // reason for which the polls have ended; nil while they continue
	// request and response are reused for every Check.
	request  healthpb.HealthCheckRequest
	response healthpb.HealthCheckResponse
}

func (p *poller) suspect() bool { return p.f.interval.missed > 0 }

func (p *poller) notPolled(ctx context.Context, limit time.Duration) {
	p.f.observe(ctx, mesh.Event{
		Kind:   mesh.EventNotAsked,
		Reason: "the coordinator has too much to poll, and has not polled the target for " + limit.String(),
	}, time.Time{})
}

// poll makes one Check, and handles its outcome.
func (p *poller) poll() pollResult {
	if p.conn.GetState() != connectivity.Ready {
		return p.endWith(io.EOF) // the connection has broken, and a call would make gRPC dial
	}
	p.began = time.Now()
	patience := p.f.cfg.patience(checkTimeout)
	found, err := p.checkNames(patience)
	switch {
	case err != nil:
		return p.endWith(err)
	case found.kind == noEvidence:
		return p.handleStatus()
	case found.kind == noQuota && found.waited:
		return p.handleNoRoom(found)
	case found.waited:
		return p.handleMissed(found, late.By(p.began.Add(patience), time.Now()))
	}
	return p.handleError(found)
}

func (p *poller) endWith(err error) pollResult {
	p.err = err
	return pollResult{ends: true}
}

// nextPoll plans the next poll after a poll that was not answered with a status.
func (p *poller) nextPoll() pollResult { return pollResult{delay: p.delay(), fromNow: true} }

func (p *poller) delay() time.Duration {
	if p.f.learnt.flood.active {
		return min(p.f.interval.every, floodInterval)
	}
	return p.f.interval.next(rand.Float64())
}

// checkNames makes a Check of the health name. If the target does not know this name,
// checkNames also makes a Check of the name "". It makes no second Check if the registration
// gives the health name, or if the target has ever known it. The error says that another
// process answered, or that the connection has broken.
func (p *poller) checkNames(patience time.Duration) (finding, error) {
	names := p.f.names()
	for i, name := range names {
		nonce, err := p.check(name, patience)
		proven, stranger := p.identify(&p.reply, nonce)
		if stranger != nil {
			return finding{}, stranger
		}
		p.proven.Store(proven)
		found := finding{}
		if err != nil {
			if found = classifyCall(err, &p.reply); found.kind == noEvidence {
				return found, io.EOF // the coordinator has ended the call, or the connection has broken
			}
			// The target knows the deadline of the Check too. It may answer DEADLINE_EXCEEDED
			// shortly before the deadline.
			overdue := time.Since(p.began) >= patience*9/10
			found.waited = found.waited || overdue && status.Code(err) == codes.DeadlineExceeded
		} else if found = p.reportResponse(i == 0); found.kind == noEvidence {
			return found, nil
		}
		if found.kind != unknownName || i == len(names)-1 {
			return found, nil
		}
	}
	return finding{}, io.EOF
}

func (p *poller) check(name string, patience time.Duration) (nonce []byte, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	call, nonce := p.callContext(ctx, &p.reply)
	p.request.Service = name
	return nonce, p.conn.Invoke(call, healthpb.Health_Check_FullMethodName, &p.request, &p.response)
}

// reportResponse reports the status in the response. If the response is not valid, it returns
// what is wrong. grpc.health.v1 shows NOT_SERVING for a target that is about to stop. If a more
// precise status came on this connection before, NOT_SERVING does not replace this status.
func (p *poller) reportResponse(named bool) finding {
	r, found := p.stockStatus(p.response.GetStatus(), p.reply.received().trailer)
	if found.kind != noEvidence {
		return found
	}
	r.Named = named
	if p.f.learnt.leaving && r.Status == health.NotServing {
		p.confirmAlive(p.ctx)
		return finding{}
	}
	p.reportStatus(p.ctx, r)
	return finding{}
}

// handleStatus plans the next poll after an answer with a status. The first delay on a
// connection is random, so that targets that were connected at the same time are not polled
// at the same time.
func (p *poller) handleStatus() pollResult {
	first := !p.answered
	p.answered = true
	s := int32(p.response.GetStatus())
	p.f.learnt.cutReplies = 0
	p.f.link.callAnswered()
	changed := p.f.interval.changes(s)
	p.f.interval.answered(s)
	if p.trial.confirmedBy(s, p.began) {
		p.f.learnt.watchConfirmed()
		return p.endWith(errTryBetter)
	}
	if p.betterIsDue(changed) {
		return p.endWith(errTryBetter)
	}
	delay := p.delay()
	if first {
		delay = rand.N(delay)
	}
	return pollResult{delay: delay}
}

// betterIsDue reports whether a better protocol than polls must be tried now. changed is true if
// the last answer differs from the answer before.
func (p *poller) betterIsDue(changed bool) bool {
	l := &p.f.learnt
	if l.flood.active {
		return l.flood.ends(changed, time.Now())
	}
	return !l.tryBetterAt.IsZero() && p.began.After(l.tryBetterAt)
}

// handleError handles a Check that the target answered with an error. If the reply ended before
// it was complete, the first such reply is no evidence, and the Check is repeated soon.
func (p *poller) handleError(found finding) pollResult {
	p.f.link.callAnswered()
	p.f.interval.answered(answerOf(found))
	switch {
	case found.kind == replyCut:
		if p.f.learnt.cutReplies++; p.f.learnt.cutReplies == 1 {
			return pollResult{delay: retryCutAfter, fromNow: true}
		}
	case p.betterIsDue(false):
		return p.endWith(errTryBetter)
	}
	p.reportFinding(p.ctx, found, p.began)
	return p.nextPoll()
}

// handleNoRoom handles a Check that was not sent, because the target allows no further stream
// on the connection. If an untrusted Watch is open in addition to the polls, handleNoRoom
// closes this Watch. If none is open, it ends the polls, so that the follower uses another
// connection. If no other connection can be used, it reports the limit to the registry.
func (p *poller) handleNoRoom(found finding) pollResult {
	if p.trial != nil && !p.f.learnt.stock.noTrial {
		p.f.learnt.stock.noTrial = true
		p.trial.cancel()
		return pollResult{delay: retryCutAfter, fromNow: true}
	}
	if p.f.learnt.canMove() {
		return p.endWith(errNoRoom)
	}
	p.reportFinding(p.ctx, found, p.began)
	return p.nextPoll()
}

// handleMissed reports a Check that was not answered in time. endedLate is the time by which
// the wait was longer than its timeout. This time and the lateness of the poll scheduler are
// the fault of the coordinator, and not of the target.
func (p *poller) handleMissed(found finding, endedLate time.Duration) pollResult {
	ours := max(p.f.polls.latePart(p.began), endedLate)
	p.f.interval.missed++
	if ours == 0 {
		p.f.link.callMissed(p.conn)
	}
	p.f.reportLate(p.ctx, found, p.began, ours)
	return p.nextPoll()
}

// watchTrial is a Watch of grpc.health.v1 that is not trusted, because of an earlier fault. It
// is open in addition to the Checks, and only the Checks give evidence. The Watch is trusted
// again when a Check returns a changed status that the Watch has sent.
type watchTrial struct {
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	status   int32
	messages int
	changed  time.Time // time at which the Watch last sent a changed status; zero if no change has come
}

// startTrial opens a Watch that is not trusted, and reads it in a new goroutine. The caller
// must call the method stop of the result.
func startTrial(ctx context.Context, f *follower, conn *grpc.ClientConn) *watchTrial {
	t := &watchTrial{}
	ctx, t.cancel = context.WithCancel(ctx)
	names := f.names()
	t.running.Go(func() { t.read(ctx, f, conn, names[len(names)-1]) })
	return t
}

// stop ends the Watch and waits for its goroutine.
func (t *watchTrial) stop() {
	t.cancel()
	t.running.Wait()
}

// read reads the Watch until the stream ends, or until the target has sent more messages than
// Config.Budgets permits.
func (t *watchTrial) read(ctx context.Context, f *follower, conn *grpc.ClientConn, name string) {
	stream, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: name})
	for err == nil {
		var m *healthpb.HealthCheckResponse
		if m, err = stream.Recv(); err == nil && !f.withinBudget() {
			return
		}
		if err == nil {
			t.note(int32(m.GetStatus()))
		}
	}
}

func (t *watchTrial) note(status int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.messages++; t.messages > 1 && t.status != status {
		t.changed = time.Now()
	}
	t.status = status
}

// confirmedBy reports whether the result of a Check shows that the Watch sends correct changes.
// status is the status that the Check returned. began is the time at which the Check began. The
// result is true if the Watch had changed to this status before the Check began. t may be nil.
func (t *watchTrial) confirmedBy(status int32, began time.Time) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.changed.IsZero() && t.changed.Before(began) && t.status == status
}
