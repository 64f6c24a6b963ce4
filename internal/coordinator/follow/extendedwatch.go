package follow

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// missedBeats is the number of heartbeat intervals without a message after which a stream counts
// as silent.
const missedBeats = 3

// followExtended opens one Watch of meshhealth.v1, and follows the instance by it until the
// stream ends.
func (f *follower) followExtended(ctx context.Context, conn *grpc.ClientConn) ended {
	beat := min(max(f.cfg.UnreachableAfter/missedBeats, wire.MinHeartbeat), wire.MaxHeartbeat)
	now := time.Now()
	x := &extendedWatch{session: newSession(f, health.SourceMeshhealth), beat: beat, began: now, since: now}
	err := x.run(ctx, conn)
	end := x.endedBy(err, x.since)
	if !end.answered {
		return end
	}
	if unusable := f.learnt.extended.ended(x.summary(conn, err)); unusable != "" {
		f.learnt.via, end.answered = unusable, false
		return end
	}
	if errors.Is(end.err, errSilent) {
		f.link.callMissed(conn)
		// The time is zero, because no wait is reported: the streamMonitor has measured the
		// silence, and has subtracted the lateness of the coordinator.
		f.report(ctx, end.found, time.Time{})
	}
	return end
}

// extendedWatch is one stream of the Watch of meshhealth.v1.
type extendedWatch struct {
	*session
	beat      time.Duration // the requested heartbeat interval
	began     time.Time
	started   bool      // the first message with content has come: an entry, or the end of the snapshot
	heartbeat bool      // at least one message has come after the first message with content
	since     time.Time // time of the last message; if no message has come, time at which the stream began
	hasEntry  bool      // an entry about one of the requested names has come
	// name is the last entry about the health name, and self the last entry about the name "".
	// A field is nil if no such entry has come, or if the target does not know the name.
	name, self *pb.Health
}

func (x *extendedWatch) summary(conn *grpc.ClientConn, err error) extendedEnd {
	early := time.Since(x.began) < minWatchLife && !endedByUs(err) && conn.GetState() == connectivity.Ready
	return extendedEnd{err: err, early: early, heartbeat: x.heartbeat}
}

// run reads the stream until it ends, and returns why it ended.
func (x *extendedWatch) run(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer x.f.monitor.watch(&monitoredStream{limit: x.f.cfg.firstMessageTimeout(), end: cancel})()
	return ownEnd(ctx, x.read(ctx, conn))
}

func (x *extendedWatch) read(ctx context.Context, conn *grpc.ClientConn) error {
	// Figures come as often as heartbeats, so that a message with figures is the heartbeat.
	req := &pb.WatchRequest{Names: x.f.names(), Heartbeat: durationpb.New(x.beat), FiguresEvery: durationpb.New(x.beat)}
	stream, m, err := x.open(ctx, conn, req)
	if wire.ReasonOf(err) == wire.ReasonLater && ctx.Err() == nil { // an earlier version, which has no figures
		req.FiguresEvery = nil
		stream, m, err = x.open(ctx, conn, req)
	}
	for err == nil {
		if err = x.handle(ctx, m); err == nil {
			m, err = stream.Recv()
		}
	}
	return err
}

// open opens a stream and waits for its first message.
func (x *extendedWatch) open(ctx context.Context, conn *grpc.ClientConn, req *pb.WatchRequest) (stream grpc.ServerStreamingClient[pb.WatchResponse], first *pb.WatchResponse, err error) {
	stream, first, proven, err := startStream(ctx, x.session, &x.reply, func(call context.Context) (grpc.ServerStreamingClient[pb.WatchResponse], error) {
		return pb.NewHealthServiceClient(conn).Watch(call, req)
	})
	x.proven.Store(proven)
	return stream, first, err
}

// handle handles one message. The message has content if it has an entry or ends the snapshot.
// Otherwise it is a heartbeat.
func (x *extendedWatch) handle(ctx context.Context, m *pb.WatchResponse) error {
	if !x.f.withinBudget() {
		return errFlood
	}
	x.noteFigures(m)
	hasEntry := x.noteEntries(m)
	content := hasEntry || m.GetSnapshotEnd()
	if x.heartbeat = x.started; !x.heartbeat {
		x.f.link.callAnswered()
		if !content {
			return nil // a heartbeat before the first message with content is ignored
		}
		x.f.monitor.setLimit(missedBeats * x.beat)
		x.started = true
	}
	x.f.monitor.heard()
	x.since = time.Now()
	if !content {
		x.confirmLast(ctx, x.proven.Load())
		return nil
	}
	return x.reportEntries(ctx)
}

// reportEntries reports to the registry the status of the health name. It reports the status of
// the name "" instead if the target has never known the health name, and the registration does
// not give it.
func (x *extendedWatch) reportEntries(ctx context.Context) error {
	if !x.hasEntry {
		return errNoAnswer
	}
	entry := x.name
	if entry == nil && !x.f.knowsName() {
		entry = x.self
	}
	if entry == nil {
		x.reportFinding(ctx, unknownNameFinding(x.f.names()), time.Time{})
		return nil
	}
	r, ok := wire.ReportFromHealth(entry, time.Now())
	if !ok {
		return errNoAnswer
	}
	x.f.learnt.leaving = r.Status == health.Draining || r.Status == health.Maintenance
	r.Named = entry == x.name
	x.reportStatus(ctx, r)
	return nil
}

// noteEntries stores the entries of a message: the entry about the health name, and the entry
// about the name "". It returns true if the message has an entry.
func (x *extendedWatch) noteEntries(m *pb.WatchResponse) (hasEntry bool) {
	for _, h := range m.GetEntries() {
		known := h
		if h.GetStatus() == pb.Status_STATUS_SERVICE_UNKNOWN || h.GetRemoved() {
			known = nil
		}
		if fullName(h) == x.f.name() {
			x.name = known
		} else {
			x.self = known
		}
		hasEntry, x.hasEntry = true, true
	}
	return hasEntry
}

// noteFigures stores the figures of a message: those of the health name, or those of the name "" if
// the target does not know the health name.
func (x *extendedWatch) noteFigures(m *pb.WatchResponse) {
	for _, f := range m.GetFigures() {
		name := health.ID{Service: f.GetService(), Instance: f.GetInstance()}.String()
		if known := x.name != nil; known && name == x.f.name() || !known && !x.f.knowsName() && name == "" {
			x.f.figures.Store(wire.MetricsFrom(f.GetMetrics()))
		}
	}
}

// fullName returns the name of an entry: only the service, or the service and the instance.
func fullName(h *pb.Health) string {
	return health.ID{Service: h.GetService(), Instance: h.GetInstance()}.String()
}
