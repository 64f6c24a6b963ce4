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

// WatchOptions say what to watch: exact names, or whatever fits all of the
// rest. The zero value is everything.
type WatchOptions struct {
	// Names are exact: a service, service/instance, "*" for the mesh, "" for
	// the coordinator itself. One that nobody knows is answered with
	// STATUS_SERVICE_UNKNOWN, and followed.
	Names []string
	// Services are exact names; none means all.
	Services []string
	// Labels an instance must carry.
	Labels map[string]string
	// Zone an instance must be in.
	Zone string
	// AggregatesOnly leaves instances out.
	AggregatesOnly bool
	// Heartbeat is how often something must come: 1 s to 60 s; 0 means 10 s.
	Heartbeat time.Duration
}

func (o *WatchOptions) request() *pb.WatchRequest {
	req := &pb.WatchRequest{Names: o.Names}
	if len(o.Services) > 0 || len(o.Labels) > 0 || o.Zone != "" || o.AggregatesOnly {
		req.Selector = &pb.Selector{Services: o.Services, Labels: o.Labels, Zone: o.Zone, AggregatesOnly: o.AggregatesOnly}
	}
	if o.Heartbeat != 0 {
		req.Heartbeat = durationpb.New(o.Heartbeat)
	}
	return req
}

// Update is one message of a Watch, or the news that the Watch was lost.
type Update struct {
	// Entries are what changed, each complete. They must not be modified.
	Entries []*pb.Health
	// Snapshot: Entries are part of all there is. What no part has named is
	// gone once SnapshotEnd has come. A snapshot that was cut short by a Stale
	// update begins anew.
	Snapshot, SnapshotEnd bool
	// Gap: changes may have been missed. This is the first part of a snapshot
	// that makes up for them.
	Gap bool
	// Heartbeat: nothing has changed.
	Heartbeat bool
	// Stale: the coordinator cannot be heard, for the reason in Err. All that
	// was told before may be wrong, and must not be shown as if it were not,
	// until the next Update. There is one for each outage.
	Stale bool
	Err   error
	// Epoch is random for each start of the coordinator; Revision rises within
	// one, and says up to where everything has been told. 0 before the end of
	// a snapshot, and if Stale.
	Epoch, Revision uint64
	// Build is the coordinator's version, where it was sent along.
	Build string
	// Received is when the Update came, by our clock.
	Received time.Time
}

func updateOf(m *pb.WatchResponse, now time.Time) Update {
	return Update{
		Entries: m.GetEntries(), Snapshot: m.GetSnapshot(), SnapshotEnd: m.GetSnapshotEnd(), Gap: m.GetGap(),
		Heartbeat: len(m.GetEntries()) == 0 && !m.GetSnapshot() && !m.GetGap(),
		Epoch:     m.GetEpoch(), Revision: m.GetRevision(), Build: m.GetBuild(), Received: now,
	}
}

// Watch yields a snapshot and then every change, the latest winning if the
// loop is slow. It outlives every outage: it goes on where it was cut off, and
// yields an Update that is Stale meanwhile.
//
// The loop ends with an error, and a zero Update beside it, when ctx ends, the
// Client is closed, or the coordinator refuses for good: INVALID_ARGUMENT,
// UNIMPLEMENTED, PERMISSION_DENIED, UNAUTHENTICATED.
//
// One connection has room for about a hundred at once.
func (c *Client) Watch(ctx context.Context, o WatchOptions) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		w := watcher{c: c, req: o.request(), yield: yield}
		asked, err := wire.WatchRequest(w.req)
		if err != nil {
			yield(Update{}, err)
			return
		}
		w.silence = missed * asked.Heartbeat
		ctx, leave := c.within(ctx)
		defer leave()
		if err := w.run(ctx); !errors.Is(err, errBreak) {
			yield(Update{}, err)
		}
	}
}

// missed is how many heartbeats may be missed before a stream counts as lost.
const missed = 3

// errBreak: the caller has left the loop.
var errBreak = errors.New("break")

// watcher is one loop over a Watch.
type watcher struct {
	c       *Client
	req     *pb.WatchRequest // with the token of the last message that had one
	silence time.Duration
	yield   func(Update, error) bool
	back    backoff
	stale   bool
}

// run follows stream after stream. It returns why there will be no other.
func (w *watcher) run(ctx context.Context) error {
	for {
		life, err := w.follow(ctx)
		switch {
		case errors.Is(err, errBreak):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case refusal(err):
			return err
		}
		if !w.lost(err) {
			return errBreak
		}
		w.back.lived(life)
		pause := w.back.after(err) + w.c.budget.reserve(time.Now())
		if !wait(ctx, pause, nil) {
			return context.Cause(ctx)
		}
	}
}

// lost tells the caller, once for each outage.
func (w *watcher) lost(err error) bool {
	if w.stale {
		return true
	}
	w.stale = true
	return w.yield(Update{Stale: true, Err: err, Received: time.Now()}, nil)
}

// follow is one stream. It returns how long it lived after its first message,
// and why it ended.
func (w *watcher) follow(ctx context.Context) (life time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(w.silence, func() { cancel(ErrSilent) })
	defer silence.Stop()
	stream, err := w.c.health.Watch(ctx, w.req)
	if err != nil {
		return 0, w.reason(ctx, err)
	}
	var first time.Time
	for {
		m, err := stream.Recv()
		// The caller's own time is no silence.
		silence.Stop()
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		if err != nil {
			return now.Sub(first), w.reason(ctx, err)
		}
		if !w.take(m, now) {
			return 0, errBreak
		}
		silence.Reset(w.silence)
	}
}

// take hands on one message. Parts of a snapshot have no token: until its end
// there is no place to resume from but the one before.
func (w *watcher) take(m *pb.WatchResponse, now time.Time) bool {
	if token := m.GetResumeToken(); token != "" {
		w.req.ResumeToken = token
	}
	w.stale = false
	return w.yield(updateOf(m, now), nil)
}

// reason returns why a stream ended. One that fell silent may be on a dead
// connection, which the next one must not use.
func (w *watcher) reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrSilent) {
		w.c.lines.cut(w.silence)
		return cause
	}
	return ours(err)
}
