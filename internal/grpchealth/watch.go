package grpchealth

import (
	"fmt"
	"time"

	"google.golang.org/grpc"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Watch sends a snapshot or what came after the caller's token, then every
// change.
func (x extended) Watch(req *pb.WatchRequest, stream grpc.ServerStreamingServer[pb.WatchResponse]) error {
	w, err := wire.WatchRequest(req)
	if err != nil {
		return err
	}
	if req.GetFiguresEvery() != nil {
		return wire.GRPC(fmt.Errorf("figures_every: %w; figures come with changes, and with Check and List", wire.ErrLater))
	}
	ctx, done, err := x.h.watching(stream.Context())
	if err != nil {
		return wire.GRPC(err)
	}
	defer done()
	s := x.h.newSender(&w, stream)
	reader := x.h.reader(&w)
	for {
		step, err := reader.Next(ctx)
		if err != nil {
			return wire.GRPC(err)
		}
		if err := s.send(&step); err != nil {
			return err
		}
	}
}

// reader returns the feed's reader for a request.
func (h *Handlers) reader(w *wire.Watch) *feed.Reader {
	h.resolveSelector(&w.Selector)
	in := feed.Interest{Services: w.Selector.Names(), Period: int((w.Heartbeat + time.Second - 1) / time.Second)}
	for i, id := range w.IDs {
		w.IDs[i] = h.resolve(id)
		in.Services = append(in.Services, w.IDs[i].Service)
	}
	if w.HasToken {
		return h.cfg.Feed.Resume(in, feed.Cursor{Epoch: w.Token.Epoch, Revision: w.Token.Revision})
	}
	return h.cfg.Feed.NewReader(in)
}
