package follow

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
)

// errNameUnknown ends a Watch of the health name, so that the name "" is watched instead. The
// reason is that the target does not know the health name, and has never known it.
var errNameUnknown = errors.New("the target does not know the health name")

// followStock follows the instance by the Watch of grpc.health.v1 until the stream ends. It
// watches the health name. It watches the name "" instead if the target has never known the
// health name, and the registration does not give it. In this case probes (Checks during the
// Watch) find out when the target knows the health name.
func (f *follower) followStock(ctx context.Context, conn *grpc.ClientConn) ended {
	w, err := f.watchName(ctx, conn, f.name())
	unknown := errors.Is(err, errNameUnknown) || status.Code(err) == codes.NotFound && w.lastAnswer().count == 0
	if unknown && !f.knowsName() {
		w, err = f.watchName(ctx, conn, "")
	}
	end := w.endedBy(err, later(w.began, w.lastAnswer().at))
	if distrusted := f.learnt.stock.ended(w.summary(err)); distrusted != "" {
		f.learnt.via, end.answered = distrusted, false
	}
	return end
}

// watchName opens the Watch of grpc.health.v1 for one name, and reads it until the stream ends. It
// returns why the stream ended.
func (f *follower) watchName(ctx context.Context, conn *grpc.ClientConn, name string) (*stockWatch, error) {
	w := &stockWatch{session: newSession(f, health.SourceWatch), conn: conn, began: time.Now()}
	return w, w.run(ctx, name)
}

// stockWatch is one stream of the Watch of grpc.health.v1.
type stockWatch struct {
	*session
	conn  *grpc.ClientConn
	began time.Time
}

func (w *stockWatch) summary(err error) stockEnd {
	got, answered := w.reply.received(), w.lastAnswer().count > 0
	return stockEnd{
		err: err, answered: answered, connected: w.conn.GetState() == connectivity.Ready, waitsForRoom: got.waitsForRoom(),
		early: answered && time.Since(w.began) < minWatchLife && !endedByUs(err),
	}
}

// run reads the stream until it ends, and returns why it ended.
func (w *stockWatch) run(ctx context.Context, name string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	every := w.f.cfg.pace(probeEvery)
	p := &probe{session: w.session, conn: w.conn, end: cancel}
	defer w.f.monitor.watch(&monitoredStream{
		limit: w.f.cfg.firstMessageTimeout(), end: cancel, tryBetterAt: w.f.learnt.tryBetterAt,
		probe: func() { p.start(ctx) }, probeEvery: every, probeAt: time.Now().Add(rand.N(every)),
	})()
	return ownEnd(ctx, w.read(ctx, name))
}

func (w *stockWatch) read(ctx context.Context, name string) error {
	stream, m, proven, err := startStream(ctx, w.session, &w.reply, func(call context.Context) (grpc.ServerStreamingClient[healthpb.HealthCheckResponse], error) {
		return healthpb.NewHealthClient(w.conn).Watch(call, &healthpb.HealthCheckRequest{Service: name})
	})
	if err == nil {
		w.proven.Store(proven)
		w.f.link.callAnswered()
		w.f.monitor.setLimit(0) // the Watch of grpc.health.v1 has no heartbeats
	}
	for err == nil {
		if !w.f.withinBudget() {
			return errFlood
		}
		if err = w.handle(ctx, m.GetStatus(), name != ""); err == nil {
			m, err = stream.Recv()
		}
	}
	return err
}

// handle handles a status that the stream has sent. named is true if the stream is about the
// health name, and false if it is about "".
func (w *stockWatch) handle(ctx context.Context, s healthpb.HealthCheckResponse_ServingStatus, named bool) error {
	if named && s == healthpb.HealthCheckResponse_SERVICE_UNKNOWN && !w.f.knowsName() {
		return errNameUnknown
	}
	r, found := w.stockStatus(s, nil)
	stock := &w.f.learnt.stock
	switch {
	case found.kind == malformed:
		return errNoAnswer
	case found.kind != noEvidence:
		w.reportFinding(ctx, found, time.Time{})
		return nil
	case stock.reopened && r.Status.GRPC() != w.f.interval.answer:
		return errContradicted // the last Check has returned another status
	}
	stock.reopened = false
	r.Named = named
	if named {
		stock.renamed.Store(false)
	}
	w.reportStatus(ctx, r)
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
