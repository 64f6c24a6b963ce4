package follow

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	// probeEvery is the interval between two probes. A probe is a Check of a target that is
	// followed by the Watch of grpc.health.v1.
	probeEvery = 10 * time.Second
	// probeAgain is the delay of the next probe after a probe that was not answered in time. A
	// probe is a Check during a Watch.
	probeAgain = 2 * time.Second
	// probeSoon is the delay of the next probe after a probe whose status differs from the last
	// status of the Watch. A probe is a Check during a Watch.
	probeSoon = time.Second
)

// probe makes Checks of a target that is followed by the Watch of grpc.health.v1, because this
// Watch has no heartbeats. Each of these Checks is called a probe. At most one probe is in
// progress for a stream.
type probe struct {
	*session
	conn *grpc.ClientConn
	end  context.CancelCauseFunc // ends the stream of the Watch; its argument is the reason

	busy atomic.Bool
	// Only the goroutine that has set busy uses the fields below.
	missed     bool // an earlier probe was not answered, or only a proxy answered it
	cutReplies int  // number of replies in a row that ended before they were complete
	// contradicted is the time at which a probe began whose status differs from the last
	// status of the Watch. If several such probes were made in a row, it is the time of the
	// first one. It is zero after a probe with the same status.
	contradicted time.Time
	contradicts  int // number (targetAnswer.count) of the Watch answer from which the probe differed
}

// start starts a probe in a new goroutine, unless a probe is in progress or ctx has ended.
// The manager waits for the goroutine before Run returns.
func (p *probe) start(ctx context.Context) {
	if ctx.Err() == nil && p.busy.CompareAndSwap(false, true) {
		p.f.wg.Go(func() {
			defer p.busy.Store(false)
			p.run(ctx)
		})
	}
}

// run makes one probe. If the target answers, the last status of the Watch is confirmed,
// unless the probe returns another status. If no answer comes in time, or only a proxy
// answers, run reports that the network path has failed. After that, only a new Watch confirms
// a status. If the connection breaks, run reports nothing, because the stream of the Watch
// breaks too.
func (p *probe) run(ctx context.Context) {
	watchAnswer, names := p.lastAnswer(), p.f.names()
	if !watchAnswer.named && len(names) > 1 {
		if p.check(ctx, names[0]).valid {
			p.nameBecameKnown()
			return
		}
		names = names[1:]
	}
	began := time.Now()
	r := p.check(ctx, names[0])
	if r.found.kind != replyCut {
		p.cutReplies = 0
	}
	if ctx.Err() != nil || p.conn.GetState() != connectivity.Ready {
		return
	}
	p.handle(ctx, &watchAnswer, &r, began)
}

// handle handles the result r of a probe. watchAnswer is the last answer of the Watch before the
// probe. began is the time at which the probe began.
func (p *probe) handle(ctx context.Context, watchAnswer *targetAnswer, r *probeResult, began time.Time) {
	switch {
	case errors.Is(r.err, errStranger):
		p.end(errStranger)
	case r.err != nil && r.found.kind == noEvidence: // the coordinator has ended the probe
	case r.found.kind == noQuota && r.found.waited:
		p.end(errNoRoom)
	case r.found.kind == replyCut && p.firstCut():
		p.f.monitor.probeIn(probeSoon)
	case r.found.kind == pathFault || r.found.kind == replyCut:
		p.missed = true
		if r.found.waited {
			p.f.link.callMissed(p.conn)
		}
		p.f.report(ctx, r.found, began)
		p.f.monitor.probeIn(probeAgain)
	case p.missed:
		p.f.link.callAnswered()
		p.end(errTryBetter)
	case r.contradicts(watchAnswer):
		p.f.link.callAnswered()
		p.contradiction(watchAnswer.count, began)
	default:
		p.f.link.callAnswered()
		p.contradicted = time.Time{}
		p.confirmLast(ctx, r.proven)
	}
}

// firstCut counts one more reply that ended before it was complete. It returns true for the first
// such reply in a row.
func (p *probe) firstCut() bool {
	p.cutReplies++
	return p.cutReplies == 1
}

// nameBecameKnown handles a Check that shows that the target knows the health name. Before, the
// target had answered to the Watch that it does not know this name. The first time,
// nameBecameKnown ends the Watch so that the follower opens it again. The second time, the Watch
// is not trusted any more.
func (p *probe) nameBecameKnown() {
	p.f.link.callAnswered()
	if p.f.learnt.stock.renamed.Swap(true) {
		p.end(errContradicted)
		return
	}
	p.end(errTryBetter)
}

// contradiction handles a probe whose status differs from an answer of the Watch. answer is the
// number of this answer (targetAnswer.count). contradiction ends the Watch if an earlier probe,
// at least probeSoon before, has differed from the same answer.
func (p *probe) contradiction(answer int, began time.Time) {
	switch {
	case p.contradicted.IsZero() || p.contradicts != answer:
		p.contradicted, p.contradicts = began, answer
	case began.Sub(p.contradicted) >= probeSoon:
		p.end(errContradicted)
		return
	}
	p.f.monitor.probeIn(probeSoon)
}

// probeResult is the result of one probe: the answer of a Check, or the first status of a Watch.
type probeResult struct {
	valid  bool
	status int32   // number of a status of grpc.health.v1, if the field valid is true
	proven bool    // the answer is proven to come from the registered process
	found  finding // why the result has no valid status
	err    error
}

// contradicts reports whether the result differs from watchAnswer, the last answer of the Watch.
// It returns false for an error that is no evidence about the health of the target.
func (r *probeResult) contradicts(watchAnswer *targetAnswer) bool {
	switch {
	case watchAnswer.count == 0:
		return false
	case !watchAnswer.valid:
		return r.valid // according to the Watch the name is not known, so any status differs
	case r.valid:
		return r.status != watchAnswer.status.GRPC()
	}
	return r.found.kind == targetFailed
}

// check makes one Check. If the Check is not answered within half of its timeout, check also
// opens a second Watch. If this Watch sends a status before the Check is answered, that status
// is the result.
func (p *probe) check(ctx context.Context, name string) probeResult {
	patience := p.f.cfg.patience(checkTimeout)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	checking, stopCheck := context.WithCancel(ctx)
	defer stopCheck()
	var watched probeResult
	watchEnded := make(chan struct{})
	second := time.AfterFunc(patience/2, func() {
		defer close(watchEnded)
		if watched = p.firstWatchStatus(ctx, name); watched.valid {
			stopCheck()
		}
	})
	checked := p.checkOnce(checking, name)
	if second.Stop() {
		return checked
	}
	if !checked.found.waited && checking.Err() == nil { // the Check was answered
		cancel()
	}
	if <-watchEnded; watched.valid {
		return watched
	}
	return checked
}

// checkOnce makes one Check without a second Watch.
func (p *probe) checkOnce(ctx context.Context, name string) (result probeResult) {
	var r reply
	call, nonce := p.callContext(ctx, &r)
	m, err := healthpb.NewHealthClient(p.conn).Check(call, &healthpb.HealthCheckRequest{Service: name})
	if result.proven, result.err = p.identify(&r, nonce); result.err != nil {
		return result
	}
	if result.err = err; err == nil {
		result.setStatus(m)
		return result
	}
	result.found = classifyCall(err, &r)
	// The target knows the deadline too, and may end the call before the coordinator does.
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) && status.Code(err) == codes.DeadlineExceeded {
		result.found.waited = true
	}
	return result
}

// firstWatchStatus opens a Watch of name and returns its first status.
func (p *probe) firstWatchStatus(ctx context.Context, name string) (result probeResult) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, m, proven, err := startStream(ctx, p.session, &reply{}, func(call context.Context) (grpc.ServerStreamingClient[healthpb.HealthCheckResponse], error) {
		return healthpb.NewHealthClient(p.conn).Watch(call, &healthpb.HealthCheckRequest{Service: name})
	})
	result.proven, result.err = proven, err
	if err == nil {
		result.setStatus(m)
	}
	return result
}

func (r *probeResult) setStatus(m *healthpb.HealthCheckResponse) {
	r.status = int32(m.GetStatus())
	_, r.valid = reportOf(r.status, nil)
}
