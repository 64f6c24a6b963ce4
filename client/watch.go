package client

import (
	"context"
	"errors"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// WatchOptions select the entries to watch: either exact names, or all entries that match each of
// the other fields. The zero value selects everything.
type WatchOptions struct {
	// Names are exact names: a service, service/instance, "*" for the mesh, or "" for the
	// coordinator itself. A name that is not registered yields an Entry with Unregistered
	// set, and is watched too.
	Names []string
	// Services are the exact names of services. Empty means all services.
	Services []string
	// Labels are the keys and values that an instance must have. Empty means any.
	Labels map[string]string
	// Zone is the zone that an instance must be in. Empty means any.
	Zone string
	// AggregatesOnly means that the Watch yields services, zones and the mesh, but no
	// instances.
	AggregatesOnly bool
	// NoServiceZones means that the Watch does not yield the parts of services in zones, such
	// as payments/@eu-1. It yields the zones of the mesh. A coordinator of an earlier version
	// yields the parts too.
	NoServiceZones bool
	// Heartbeat is the longest time in which the coordinator sends nothing, from 1 s to 60 s.
	// 0 means 10 s.
	Heartbeat time.Duration
	// FiguresEvery is the shortest time between two Updates with Figures, from 1 s to 60 s. 0 means
	// no such Updates. A coordinator of an earlier version refuses it with UNIMPLEMENTED.
	FiguresEvery time.Duration
}

func (o *WatchOptions) request() *pb.WatchRequest {
	req := &pb.WatchRequest{Names: o.Names}
	if len(o.Services) > 0 || len(o.Labels) > 0 || o.Zone != "" || o.AggregatesOnly || o.NoServiceZones {
		req.Selector = &pb.Selector{
			Services: o.Services, Labels: o.Labels, Zone: o.Zone, AggregatesOnly: o.AggregatesOnly, NoServiceZones: o.NoServiceZones,
		}
	}
	if o.Heartbeat != 0 {
		req.Heartbeat = durationpb.New(o.Heartbeat)
	}
	if o.FiguresEvery != 0 {
		req.FiguresEvery = durationpb.New(o.FiguresEvery)
	}
	return req
}

// Update is one message of a Watch, or the report that the Watch was interrupted.
type Update struct {
	// Entries are the complete states of the names that have changed. Do not modify them.
	Entries []*Entry
	// Figures are the figures of the selected instances that have changed since the last Update with
	// Figures. The first Updates with Figures of a stream have all of them. Such an Update has no
	// Entries. A stream is new after each Stale update.
	Figures []Figures
	// Snapshot reports that Entries are a part of a snapshot, which has all selected entries.
	// SnapshotEnd reports that Entries are the last part of the snapshot. Known entries that
	// are in no part do not exist any more. After a Stale update, an unfinished snapshot begins
	// again.
	Snapshot, SnapshotEnd bool
	// Gap reports that the Watch may have missed changes. In this case the Update is the first
	// part of a snapshot, which replaces the missed changes.
	Gap bool
	// Heartbeat reports that nothing has changed since the previous Update.
	Heartbeat bool
	// Stale reports that the Watch receives nothing from the coordinator. Err has the reason.
	// Until the next Update, all earlier entries may be out of date and must not be shown as
	// current. There is one Stale update for each outage.
	Stale bool
	Err   error
	// Epoch is a random number that is new at each start of the coordinator. Revision is the
	// number of the last change that was sent; it rises within an epoch. Both are 0 in a
	// Stale update. Revision is 0 before the end of a snapshot.
	Epoch, Revision uint64
	// Build is the version of the coordinator. It is empty if the message does not contain it.
	Build string
	// Received is the time at which the Update was received, by the local clock.
	Received time.Time
}

func updateOf(m *pb.WatchResponse, now time.Time) Update {
	return Update{
		Entries: entriesOf(m.GetEntries()), Snapshot: m.GetSnapshot(), SnapshotEnd: m.GetSnapshotEnd(), Gap: m.GetGap(),
		Figures:   figuresOf(m.GetFigures()),
		Heartbeat: len(m.GetEntries()) == 0 && len(m.GetFigures()) == 0 && !m.GetSnapshot() && !m.GetGap(),
		Epoch:     m.GetEpoch(), Revision: m.GetRevision(), Build: m.GetBuild(), Received: now,
	}
}

// Watch yields a snapshot and then every change. If the caller is slow, it yields only the
// latest state of each entry. After an interruption, Watch continues at the same place. During
// the interruption it yields one Update with Stale set.
//
// The loop ends with an error and a zero Update in three cases: ctx ends, the Client is closed,
// or the coordinator refuses the request. Such a refusal has the code INVALID_ARGUMENT,
// UNIMPLEMENTED, PERMISSION_DENIED or UNAUTHENTICATED.
//
// One connection can carry about a hundred Watches at the same time.
func (c *Client) Watch(ctx context.Context, o WatchOptions) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		w := watcher{c: c, req: o.request(), yield: yield}
		parsed, err := wire.WatchRequest(w.req)
		if err != nil {
			yield(Update{}, err)
			return
		}
		w.silence = missedHeartbeats * parsed.Heartbeat
		ctx, cancel := c.withClient(ctx)
		defer cancel()
		if err := w.run(ctx); !errors.Is(err, errBreak) {
			yield(Update{}, err)
		}
	}
}

// missedHeartbeats is the number of missing heartbeats after which a stream is ended.
const missedHeartbeats = 3

// errBreak means that the caller has left the loop.
var errBreak = errors.New("break")

// watcher is one running loop of Client.Watch.
type watcher struct {
	c       *Client
	req     *pb.WatchRequest // request for the next stream, with the latest resume token
	silence time.Duration    // a stream is ended when it has sent nothing for this time
	yield   func(Update, error) bool
	back    backoff
	stale   bool // true if the caller has already received a Stale update in this outage
}

// run opens one stream after another, and yields what each stream receives. The returned error says
// why it opens no further stream.
func (w *watcher) run(ctx context.Context) error {
	for {
		life, err := w.receive(ctx)
		switch {
		case errors.Is(err, errBreak):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isRefusal(err):
			return err
		}
		if !w.yieldStale(err) {
			return errBreak
		}
		w.back.succeeded(life)
		pause := w.back.pauseAfter(err) + w.c.budget.reserve(time.Now())
		if !wait(ctx, pause, nil) {
			return context.Cause(ctx)
		}
	}
}

// yieldStale yields a Stale update, once for each outage. It returns false if the caller has left
// the loop.
func (w *watcher) yieldStale(err error) bool {
	if w.stale {
		return true
	}
	w.stale = true
	return w.yield(Update{Stale: true, Err: err, Received: time.Now()}, nil)
}

// receive opens one stream and receives from it until it ends. life is how long the stream lasted
// after its first message, and err why it ended.
//
// The context `loop` may have a deadline, which receive does not send to the coordinator. If the
// coordinator knew the deadline, it could end the stream a moment before the local timer. This
// would look like an outage.
func (w *watcher) receive(loop context.Context) (life time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(loop))
	defer cancel(nil)
	defer context.AfterFunc(loop, func() { cancel(context.Cause(loop)) })()
	silence := time.AfterFunc(w.silence, func() { cancel(ErrSilent) })
	defer silence.Stop()
	stream, err := w.c.health.Watch(ctx, w.req)
	if err != nil {
		return 0, w.reason(ctx, err)
	}
	var first time.Time
	for {
		m, err := stream.Recv()
		silence.Stop() // the time that the caller needs for an update is not silence of the coordinator
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		if err != nil {
			return now.Sub(first), w.reason(ctx, err)
		}
		if !w.yieldMessage(m, now) {
			return 0, errBreak
		}
		silence.Reset(w.silence)
	}
}

// yieldMessage yields a message and stores its resume token. Parts of a snapshot have no token, so
// that a new stream does not continue in the middle of a snapshot.
func (w *watcher) yieldMessage(m *pb.WatchResponse, now time.Time) bool {
	if token := m.GetResumeToken(); token != "" {
		w.req.ResumeToken = token
	}
	w.stale = false
	return w.yield(updateOf(m, now), nil)
}

// reason returns why a stream has ended. If the coordinator was silent, the connection may be dead.
// In this case reason also closes the connection, so that the next stream uses a new one.
func (w *watcher) reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrSilent) {
		w.c.connections.closeSilent(w.silence)
		return cause
	}
	return domainError(err)
}
