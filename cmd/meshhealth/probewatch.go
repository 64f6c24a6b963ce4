package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// received is a status that was received on a Watch of grpc.health.v1 or of meshhealth.v1.
type received struct {
	text    string
	healthy bool
}

// watchChanges prints each change of the status until ctx ends. The returned exit code stands for
// the last status. It has the same meaning as without the flag -watch.
func (p *probe) watchChanges(ctx context.Context, a *app, conn *grpc.ClientConn) error {
	var last received
	show := func(r received) error {
		if r == last {
			return nil
		}
		last = r
		_, err := fmt.Fprintf(a.stdout, "%s %s\n", a.now().In(a.zone).Format(time.RFC3339), r.text)
		return err
	}
	err := p.watchOurs(ctx, conn, show)
	if status.Code(err) == codes.Unimplemented {
		err = p.watchStandard(ctx, conn, show)
	}
	switch {
	case ctx.Err() == nil:
		return p.noAnswer(a, err)
	case !last.healthy:
		return exitCode(probeUnhealthy)
	}
	return nil
}

func (p *probe) watchOurs(ctx context.Context, conn *grpc.ClientConn, show func(received) error) error {
	stream, err := pb.NewHealthServiceClient(conn).Watch(ctx, &pb.WatchRequest{Names: []string{p.service}})
	for err == nil {
		var resp *pb.WatchResponse
		if resp, err = stream.Recv(); err != nil {
			break
		}
		for _, e := range resp.GetEntries() {
			s, _ := health.StatusFromWire(int32(e.GetStatus()))
			h := received{s.String(), s == health.Serving || s == health.Degraded && !p.degradedFails}
			if cause := health.CauseFromWire(int32(e.GetCause())); cause != health.CauseOK && cause != health.CauseNone {
				h.text += " " + cause.String()
			}
			if err := show(h); err != nil {
				return err
			}
		}
	}
	return err
}

func (p *probe) watchStandard(ctx context.Context, conn *grpc.ClientConn, show func(received) error) error {
	stream, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: p.service})
	for err == nil {
		var resp *healthpb.HealthCheckResponse
		if resp, err = stream.Recv(); err != nil {
			break
		}
		s := resp.GetStatus()
		if err := show(received{s.String(), s == healthpb.HealthCheckResponse_SERVING}); err != nil {
			return err
		}
	}
	return err
}
