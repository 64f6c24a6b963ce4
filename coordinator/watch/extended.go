package watch

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// missedBeats is how many heartbeats may be missed before a stream is silent.
const missedBeats = 3

// extended follows by meshhealth.v1.
func (f *follower) extended(ctx context.Context, conn *grpc.ClientConn) (end ended) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	beat := min(max(f.w.cfg.UnreachableAfter/missedBeats, wire.MinHeartbeat), wire.MaxHeartbeat)
	defer f.listening(&silence{limit: missedBeats * beat, end: cancel})()
	end.since = time.Now()
	stream, err := pb.NewHealthServiceClient(conn).Watch(ctx, &pb.WatchRequest{
		Names: f.names(), Heartbeat: durationpb.New(beat),
	})
	for said := (said{}); err == nil; {
		var m *pb.WatchResponse
		if m, err = stream.Recv(); err == nil {
			f.heard()
			if !end.heard {
				f.endpoint.answered()
			}
			end.heard, end.since = true, time.Now()
			f.message(ctx, &said, m)
		}
	}
	end.err = whyEnded(ctx, err)
	return end
}

// whyEnded returns err, or that we have ended the stream for its silence. A
// name the target's rules refuse, other protocols may well know.
func whyEnded(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errSilent):
		return errSilent
	case status.Code(err) == codes.InvalidArgument:
		return status.Error(codes.Unimplemented, status.Convert(err).Message())
	}
	return err
}

// said is what one stream has said last, of the health name and of "".
type said struct {
	named, self *pb.Health
}

// message takes one message: news, or a sign of life.
func (f *follower) message(ctx context.Context, s *said, m *pb.WatchResponse) {
	f.setSource(health.SourceMeshhealth)
	if !s.take(m, f.names()[0]) && !m.GetSnapshotEnd() {
		f.alive(ctx)
		return
	}
	for _, h := range []*pb.Health{s.named, s.self} {
		if r, ok := wire.ReportFromHealth(h, time.Now()); h != nil && ok {
			f.report(ctx, r)
			return
		}
	}
	if m.GetSnapshotEnd() || len(m.GetEntries()) > 0 {
		f.tell(ctx, noSuchName(f.names()), time.Time{})
	}
}

// take notes what a message says of either name, nil for one that is not
// known, and reports whether it says anything.
func (s *said) take(m *pb.WatchResponse, name string) (news bool) {
	for _, h := range m.GetEntries() {
		known := h
		if h.GetStatus() == pb.Status_STATUS_SERVICE_UNKNOWN || h.GetRemoved() {
			known = nil
		}
		if fullName(h) == name {
			s.named = known
		} else {
			s.self = known
		}
		news = true
	}
	return news
}

func fullName(h *pb.Health) string {
	return health.ID{Service: h.GetService(), Instance: h.GetInstance()}.String()
}

func noSuchName(names []string) finding {
	reason := "the target knows no health name " + names[0]
	if len(names) > 1 {
		reason += `, and nothing of ""`
	}
	return finding{about: unknownName, cause: health.CauseUnknownName, reason: wire.Clean(reason)}
}
