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

// heard is a status as one of both protocols has it.
type heard struct {
	text    string
	healthy bool
}

// probeWatch prints each change. Interrupted, it exits as a probe at that
// moment would.
func (a *app) probeWatch(ctx context.Context, conn *grpc.ClientConn, p *probe) error {
	var last heard
	show := func(h heard) error {
		if h == last {
			return nil
		}
		last = h
		_, err := fmt.Fprintf(a.stdout, "%s %s\n", a.now().In(a.zone).Format(time.RFC3339), h.text)
		return err
	}
	err := p.watchOurs(ctx, conn, show)
	if status.Code(err) == codes.Unimplemented {
		err = p.watchStandard(ctx, conn, show)
	}
	switch {
	case ctx.Err() == nil:
		return a.notAnswered(p, err)
	case !last.healthy:
		return exitCode(probeUnhealthy)
	}
	return nil
}

func (p *probe) watchOurs(ctx context.Context, conn *grpc.ClientConn, show func(heard) error) error {
	stream, err := pb.NewHealthServiceClient(conn).Watch(ctx, &pb.WatchRequest{Names: []string{p.service}})
	for err == nil {
		var resp *pb.WatchResponse
		if resp, err = stream.Recv(); err != nil {
			break
		}
		for _, e := range resp.GetEntries() {
			s, _ := health.StatusFromWire(int32(e.GetStatus()))
			h := heard{s.String(), s == health.Serving || s == health.Degraded && !p.degradedFails}
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

func (p *probe) watchStandard(ctx context.Context, conn *grpc.ClientConn, show func(heard) error) error {
	stream, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: p.service})
	for err == nil {
		var resp *healthpb.HealthCheckResponse
		if resp, err = stream.Recv(); err != nil {
			break
		}
		s := resp.GetStatus()
		if err := show(heard{s.String(), s == healthpb.HealthCheckResponse_SERVING}); err != nil {
			return err
		}
	}
	return err
}
