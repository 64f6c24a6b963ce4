package grpchealth

import (
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// sender turns the steps of one reader into messages.
type sender struct {
	h      *Handlers
	watch  *wire.Watch
	stream grpc.ServerStreamingServer[pb.WatchResponse]
	key    feed.Key
	view   view
	first  bool
}

func (h *Handlers) newSender(w *wire.Watch, stream grpc.ServerStreamingServer[pb.WatchResponse]) *sender {
	return &sender{
		h: h, watch: w, stream: stream, key: h.audience(stream.Context()),
		view: newView(w), first: true,
	}
}

func (s *sender) send(step *feed.Step) error {
	switch {
	case step.Beat:
		return s.message(nil, step.Revision, &pb.WatchResponse{Build: s.h.cfg.Build})
	case step.Batch != nil && s.view.everything():
		return s.batch(step)
	}
	return s.entries(step)
}

// batch sends a whole batch, encoded once for everybody.
func (s *sender) batch(step *feed.Step) error {
	b := step.Batch.Encoded(s.key, func(b *feed.Batch) []byte {
		var all []byte
		for _, e := range b.Entries {
			all = append(all, encoded(e, s.key)...)
		}
		return all
	})
	if len(b) > wire.ChunkBytes {
		return s.entries(step)
	}
	return s.message(b, step.Revision, &pb.WatchResponse{})
}

// buffers are for chunks while they are put together: Send has copied them when
// it returns.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// entries sends what of them is in view, in chunks. A chunk says how far it
// goes, so that it can be resumed from; those of a snapshot do not, before the
// last.
func (s *sender) entries(step *feed.Step) error {
	if step.Snapshot {
		s.view.restart()
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	chunk, reached := (*buffer)[:0], uint64(0)
	for _, e := range step.Entries {
		fragment := s.view.fragment(e, s.key)
		if len(chunk) > 0 && len(chunk)+len(fragment) > wire.ChunkBytes {
			if err := s.chunk(chunk, step, reached); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
		chunk = append(chunk, fragment...)
		reached = e.Revision
	}
	*buffer = chunk
	if step.Snapshot {
		chunk = append(chunk, s.view.unknown(step)...)
	} else if len(chunk) == 0 {
		return nil
	}
	return s.message(chunk, step.Revision, &pb.WatchResponse{
		Snapshot: step.Snapshot, SnapshotEnd: step.Snapshot, Gap: step.Gap,
	})
}

// chunk sends a part that is not the last.
func (s *sender) chunk(chunk []byte, step *feed.Step, reached uint64) error {
	if step.Snapshot {
		reached = 0
	}
	m := &pb.WatchResponse{Snapshot: step.Snapshot, Gap: step.Gap}
	step.Gap = false
	return s.message(chunk, reached, m)
}

// message completes and sends one. Entries come encoded and travel as fields
// the message does not look at: they are copied once, not encoded again.
func (s *sender) message(entries []byte, revision uint64, m *pb.WatchResponse) error {
	m.Epoch, m.Revision, m.At = s.h.cfg.Feed.Epoch(), revision, timestamppb.Now()
	if revision > 0 || !m.GetSnapshot() {
		m.ResumeToken = wire.Token{Epoch: m.GetEpoch(), Revision: revision, Scope: s.watch.Scope}.Encode()
	}
	if s.first {
		m.Build, s.first = s.h.cfg.Build, false
	}
	m.ProtoReflect().SetUnknown(entries)
	return s.stream.Send(m)
}
