package check

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// GRPC asks a service this one calls, over the connection it calls it with, for
// the health of a name; the empty name means the server itself. DEGRADED is a
// warning, anything but that and SERVING a failure.
//
// It prefers to be told: where the other side has Watch, of meshhealth.v1 or
// else of grpc.health.v1, a stream is kept open and a change is known at once;
// where it has not, at the next run. A run always asks too, once: an open stream
// is no proof of a path. conn may be one to a coordinator.
func GRPC(conn grpc.ClientConnInterface, name string) Func {
	if conn == nil {
		return wrong("conn", "is nil")
	}
	u := &upstream{name: name, extended: pb.NewHealthServiceClient(conn), standard: healthpb.NewHealthClient(conn)}
	return u.run
}

type upstream struct {
	name     string
	extended pb.HealthServiceClient
	standard healthpb.HealthClient
	stock    atomic.Bool // it knows grpc.health.v1 only
}

func (u *upstream) run(ctx context.Context) error {
	server.Beside(ctx, u.watch)
	err := u.ask(ctx)
	if status.Code(err) == codes.Unavailable {
		u.stock.Store(false) // what comes back may be a newer version
	}
	return err
}

func (u *upstream) ask(ctx context.Context) error {
	if !u.stock.Load() {
		resp, err := u.extended.Check(ctx, &pb.CheckRequest{Service: u.name})
		if status.Code(err) != codes.Unimplemented {
			return judgeExtended(resp, err)
		}
		u.stock.Store(true)
	}
	resp, err := u.standard.Check(ctx, &healthpb.HealthCheckRequest{Service: u.name})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return errors.New("it serves neither meshhealth.v1 nor grpc.health.v1")
	case err != nil:
		return err
	case resp.GetStatus() != healthpb.HealthCheckResponse_SERVING:
		return fmt.Errorf("it is %v", resp.GetStatus())
	}
	return nil
}

func judgeExtended(resp *pb.CheckResponse, err error) error {
	if err != nil {
		return err
	}
	judged, _ := health.StatusFromWire(int32(resp.GetStatus()))
	text := judged.String()
	if reason := resp.GetHealth().GetReason(); reason != "" {
		text += ": " + reason
	}
	switch resp.GetStatus() {
	case pb.Status_STATUS_SERVING:
		return nil
	case pb.Status_STATUS_DEGRADED:
		return health.Warnf("it is %s", text)
	}
	return fmt.Errorf("it is %s", text)
}

// watch makes the check run again when it is told of a change. It returns when
// the stream ends; the next run opens another one.
func (u *upstream) watch(life context.Context, again func()) {
	if !u.stock.Load() {
		if err := u.watchExtended(life, again); status.Code(err) != codes.Unimplemented {
			return
		}
	}
	u.watchStandard(life, again)
}

func (u *upstream) watchExtended(life context.Context, again func()) error {
	stream, err := u.extended.Watch(life, &pb.WatchRequest{Names: []string{u.name}})
	if err != nil {
		return err
	}
	for last := pb.Status(-1); ; {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, e := range resp.GetEntries() {
			// The first one is what the run has asked for.
			if now := e.GetStatus(); now != last {
				if last >= 0 {
					again()
				}
				last = now
			}
		}
	}
}

func (u *upstream) watchStandard(life context.Context, again func()) {
	stream, err := u.standard.Watch(life, &healthpb.HealthCheckRequest{Service: u.name})
	for first := true; err == nil; first = false {
		if _, err = stream.Recv(); err == nil && !first {
			again()
		}
	}
}
