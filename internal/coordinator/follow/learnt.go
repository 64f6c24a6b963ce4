package follow

import (
	"cmp"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// protocol is one of the three protocols by which a target can be followed.
type protocol uint8

const (
	protocolExtended protocol = iota // Watch of meshhealth.v1
	protocolStock                    // Watch of grpc.health.v1
	protocolPoll                     // Check of grpc.health.v1
)

// learnt stores what a follower has learnt about its target, the process at the address of the
// instance. The methods read no clock. The goroutine of the follower uses learnt. A worker of
// the poll scheduler uses it while the goroutine of the follower waits for the worker.
type learnt struct {
	connections
	fallback
	extended extendedHistory
	stock    stockHistory
	flood    floodHistory

	// leaving is true if the last status on the current connection says that the target is
	// about to stop.
	leaving bool
	// cutReplies is the number of Checks in a row whose reply broke off, over all
	// connections.
	cutReplies int
	// named is true if the target has ever known the health name (the service name in health
	// requests).
	named atomic.Bool
}

// plan returns the list of protocols to try on a connection, the best one first. first is the
// index of the protocol to try first. The protocols before this index are not tried on this
// connection.
func (l *learnt) plan(configured health.Protocol, now time.Time) (chain []protocol, first int) {
	l.via, l.tryBetterAt = "", time.Time{}
	switch {
	case l.flood.active:
		l.via = errFlood.Error()
	case l.extended.unusable != "":
		l.via = l.extended.unusable
		l.tryBetterAt = l.retry.next(now, false)
	case l.onPollConn():
		l.passOver(&ended{found: finding{kind: noQuota, reason: errNoRoom.Error()}}, false, now)
	}
	chain = l.chain(configured)
	if len(l.lost) >= len(chain) {
		l.lost = nil
	}
	for i := range l.lost {
		l.passOver(&l.lost[i], i == 0, now)
	}
	return chain, len(l.lost)
}

// The lists of protocols to try on a connection, the best protocol first. All followers share
// these slices, and no follower changes them.
var (
	chainAll      = []protocol{protocolExtended, protocolStock, protocolPoll}
	chainExtended = chainAll[:1]
	chainWatch    = chainAll[1:2]
	chainStock    = chainAll[1:]
	chainPoll     = chainAll[2:]
	chainNoWatch  = []protocol{protocolExtended, protocolPoll}
)

func (l *learnt) chain(configured health.Protocol) []protocol {
	switch {
	case configured == health.ProtocolMeshhealth && !l.onPollConn():
		return chainExtended
	case configured == health.ProtocolWatch && !l.onPollConn():
		return chainWatch
	case configured == health.ProtocolCheck, l.flood.active, l.onPollConn():
		return chainPoll
	case l.extended.unusable == "" && l.stock.distrusted == "":
		return chainAll
	case l.extended.unusable == "":
		return chainNoWatch
	case l.stock.distrusted == "":
		return chainStock
	}
	return chainPoll
}

// protocolWorked records that the target has answered by a protocol, before the follower
// stopped using the protocol. end says why the follower stopped. first is true for the best
// protocol that the follower may use.
func (l *learnt) protocolWorked(end *ended, first bool) {
	l.lost, l.lostOnce = nil, false
	if errors.Is(end.err, errTryBetter) {
		l.extended.unusable = ""
	}
	switch {
	case l.onPollConn(): // streams are tried again on the first connection to the address
		l.conn = 0
	case first:
		l.retry = betterRetry{}
	}
}

// watchConfirmed records that the Watch of grpc.health.v1 is trusted again. The reason is that
// a Check has returned a changed status that the Watch had sent before.
func (l *learnt) watchConfirmed() {
	l.stock.distrusted, l.stock.reopened = "", true
	l.retry = betterRetry{}
}

// maxConns is the largest number of connections that the instances at one address share. A
// target that allows few streams needs several connections. The last connection is for polls
// only, so that no stream stays open on it.
const maxConns = 8

// connections says on which connection a target is followed. There may be several connections to
// the address of the target.
type connections struct {
	conn int // number of the connection, from 0 to maxConns-1
	// ownConn is true if the target needs a connection that no other instance uses, because
	// another process answered on the shared connection.
	ownConn bool
}

// onPollConn reports whether the target is followed on the last connection, which is for polls
// only.
func (c *connections) onPollConn() bool { return c.conn == maxConns-1 }

// canMove reports whether the target can be followed on another connection.
func (c *connections) canMove() bool { return !c.ownConn && !c.onPollConn() }

// move selects the next connection to the address of the target. onlyUser is true if only this
// target uses the old connection. In this case the target would not allow more streams on
// another connection either. So move selects the connection that is for polls only.
func (c *connections) move(onlyUser bool) {
	if c.conn++; onlyUser {
		c.conn = maxConns - 1
	}
}

// fallback stores why the best protocol is not in use, and when it is tried again.
type fallback struct {
	via string // why the best protocol is not in use; empty if it is in use
	// tryBetterAt is when a better protocol is tried again; zero: never.
	tryBetterAt time.Time
	retry       betterRetry
	// lost has one element for each protocol that is not tried, because the connection broke
	// before the target had answered by this protocol. The best protocol gets an element only
	// after two such breaks. lostOnce is true after one break with the best protocol.
	lost     []ended
	lostOnce bool
}

// passOver records why a protocol does not work, and when it is tried again. first is true for
// the best protocol. If the target does not implement the best protocol, passOver records no
// reason, because this is normal.
func (f *fallback) passOver(e *ended, first bool, now time.Time) {
	f.tryBetterAt = f.retry.next(now, e.found.kind == unimplemented)
	switch {
	case f.via != "" || first && e.found.kind == unimplemented:
	case e.found.reason == "":
		f.via = "its Watch ended without a message"
	default:
		f.via = "its Watch does not work: " + e.found.reason
	}
}

// connectionLost records that the connection broke while a protocol was in use. If the target
// had not answered by the protocol, the protocol itself may be the reason. So the next protocol
// is tried on the next connection; for the best protocol, only after two breaks. last is true
// for the last protocol to try. If the target had not answered by the last protocol, evidence
// is true: the break must be reported to the registry. Otherwise the next attempt to connect
// gives the evidence.
func (f *fallback) connectionLost(end *ended, last bool) (evidence bool) {
	once := f.lostOnce
	f.lostOnce = false
	switch {
	case end.answered || end.found.kind != replyCut:
		f.lost = nil
	case last:
		f.lost = nil
		return true
	case !once && len(f.lost) == 0:
		f.lostOnce = true
	default:
		f.lost = append(f.lost, *end)
	}
	return false
}

// betterRetry plans when a protocol that did not work is tried again.
type betterRetry struct{ pause time.Duration }

const (
	firstRetryPause   = time.Minute
	longestRetryPause = time.Hour
)

// next returns the time at which a protocol that did not work is tried again. The pause until
// this time doubles with each call, up to an hour. If the target does not implement the
// protocol, the pause is an hour, because only a new version of the target can change that.
func (b *betterRetry) next(now time.Time, unimplemented bool) time.Time {
	switch {
	case unimplemented:
		return now.Add(longestRetryPause)
	case b.pause == 0:
		b.pause = firstRetryPause
	default:
		b.pause = min(2*b.pause, longestRetryPause)
	}
	return now.Add(b.pause)
}

// minWatchLife is the shortest duration of a correct Watch stream. A shorter stream has ended
// early.
const minWatchLife = 10 * time.Second

// extendedHistory counts the faults of earlier streams of the Watch of meshhealth.v1.
type extendedHistory struct {
	unusable string // reason for which the Watch is not used; empty if the Watch may be used
	short    int    // number of streams in a row that ended within minWatchLife while the connection was ready
	silent   int    // number of streams in a row that became silent before the first heartbeat
}

// extendedEnd describes the end of a stream of the Watch of meshhealth.v1, on which the target
// had answered.
type extendedEnd struct {
	err       error
	early     bool // the stream ended within minWatchLife while the connection was ready
	heartbeat bool // at least one message came after the first message with content (entries or the end of the snapshot)
}

// ended records the end of a stream. It returns why the Watch of meshhealth.v1 must not be used,
// or "" if it may be used.
func (h *extendedHistory) ended(e extendedEnd) (unusable string) {
	h.short = inRow(h.short, e.early)
	silent := errors.Is(e.err, errSilent) && !e.heartbeat
	switch {
	case h.short > 1:
		unusable = "its meshhealth Watch ends soon after it has begun"
	case errors.Is(e.err, io.EOF):
		unusable = "its meshhealth Watch ends without an error, which a Watch never does"
	default: // a single silent stream is no fault of the Watch: the process may have stopped
		if h.silent = inRow(h.silent, silent); h.silent > 1 {
			unusable = "its meshhealth Watch has no heartbeats"
		}
	}
	h.unusable = cmp.Or(unusable, h.unusable)
	return unusable
}

// inRow returns the length of a series after one more event. If continues is false, the
// event ends the series and the result is 0.
func inRow(length int, continues bool) int {
	if continues {
		return length + 1
	}
	return 0
}

// stockHistory stores whether the Watch of grpc.health.v1 is trusted, and its earlier faults.
type stockHistory struct {
	// distrusted says why the Watch is not trusted. It is empty if the Watch is trusted. The
	// Watch is trusted again when a Check confirms a changed status that the Watch has sent.
	distrusted string
	short      int  // number of streams in a row that ended within minWatchLife while the connection was ready
	reopened   bool // the Watch is trusted again, but its new stream has not sent a status so far
	noTrial    bool // the target does not allow that a Watch is open in addition to the Checks
	// renamed is true if a Watch was ended because the target knew the health name in a Check,
	// but not in the Watch.
	renamed atomic.Bool
}

// stockEnd describes the end of a stream of the Watch of grpc.health.v1.
type stockEnd struct {
	err          error
	answered     bool // the stream sent a status before it ended
	early        bool // the stream sent a status, and ended within minWatchLife
	connected    bool // the connection is still ready
	waitsForRoom bool // the target allowed no further stream, so the call was never sent
}

// ended records the end of a stream. It returns why the Watch is not trusted, or "". A Watch is
// not trusted if it sends no status, ends without an error, or ends within minWatchLife. It is
// not trusted either if a Check returns another status. But one stream may end within
// minWatchLife, if its error is typical of the shutdown of a server or a proxy.
func (h *stockHistory) ended(e stockEnd) (distrusted string) {
	switch {
	case !e.early:
		h.short = 0
	case e.connected:
		h.short++
	}
	switch {
	case errors.Is(e.err, errContradicted):
		distrusted = errContradicted.Error()
	case errors.Is(e.err, io.EOF):
		distrusted = "its Watch ends without an error, which a Watch never does"
	case e.early && (!byShutdown(e.err) || h.short > 1):
		distrusted = "its Watch ends soon after it has begun"
	case errors.Is(e.err, errSilent) && !e.answered && !e.waitsForRoom:
		distrusted = "its Watch opens and stays silent"
	default:
		return ""
	}
	h.distrusted = distrusted
	return distrusted
}

// byShutdown reports whether err is an error that is typical of the shutdown of a server or a
// proxy.
func byShutdown(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.ResourceExhausted:
		return true
	}
	return false
}

// floodHistory stores whether the target floods: it has sent more messages than Config.Budgets
// permits.
type floodHistory struct {
	active     bool      // a flood has begun and has not ended
	quietSince time.Time // time at which the status of the target last changed
}

// began records that a flood begins. It returns false if a flood is active already.
func (h *floodHistory) began(now time.Time) bool {
	if h.active {
		return false
	}
	h.active, h.quietSince = true, now
	return true
}

// ends reports whether the flood has ended, because the status of the target has stayed the
// same for the time wire.FloodQuiet. changed says whether the status has just changed.
func (h *floodHistory) ends(changed bool, now time.Time) bool {
	if changed {
		h.quietSince = now
	} else if now.Sub(h.quietSince) >= wire.FloodQuiet {
		h.active = false
	}
	return !h.active
}
