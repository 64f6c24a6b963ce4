package api

import (
	"context"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// adminService implements AdminService, which people and tools call.
type adminService struct {
	pb.UnimplementedAdminServiceServer
	cfg      *Config
	watchers func() int // returns the number of open Watch streams
	tokens   *wire.TokenCipher
	stopping <-chan struct{} // closed when the server begins to stop
}

// GetCoordinator returns the state of the coordinator itself.
func (a adminService) GetCoordinator(ctx context.Context, _ *pb.GetCoordinatorRequest) (*pb.GetCoordinatorResponse, error) {
	if err := a.cfg.checkEvidence(ctx, access.Everything); err != nil {
		return nil, err
	}
	resp := &pb.GetCoordinatorResponse{
		Build: a.cfg.Build, Epoch: a.cfg.Feed.Epoch(), Revision: a.cfg.Feed.Revision(),
		Watchers: uint32(a.watchers()),
	}
	if e, ok := a.cfg.Feed.Get(health.ID{}); ok {
		resp.Status, resp.Reason = wire.Status(e.Status), e.Reason
	}
	a.cfg.Stats(resp)
	return resp, nil
}
