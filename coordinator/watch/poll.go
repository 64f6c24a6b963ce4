package watch

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
)

// pollEvery is how often a target is asked that has Check only; with a tenth
// of jitter either way.
const pollEvery = 5 * time.Second

// poll follows by the Check of grpc.health.v1. It goes on as long as there are
// answers, or none in time; anything else ends it, and the chain begins anew.
func (f *follower) poll(ctx context.Context, conn *grpc.ClientConn) (end ended) {
	client := healthpb.NewHealthClient(conn)
	names := f.names()
	for {
		end.since = time.Now()
		s, err := f.check(ctx, client, names[0])
		switch {
		case err == nil:
			end.heard = true
			f.setSource(health.SourcePoll)
			f.said(ctx, s, health.SourcePoll)
		case status.Code(err) == codes.DeadlineExceeded:
			f.tell(ctx, classifyCall(err, end.heard), end.since)
		case status.Code(err) == codes.NotFound && len(names) > 1:
			names = names[1:]
			continue
		default:
			end.err = err
			return end
		}
		every := f.w.cfg.pace(pollEvery)
		if end.err = pause(ctx, every*9/10+rand.N(every/5)); end.err != nil {
			return end
		}
	}
}

func (f *follower) check(ctx context.Context, client healthpb.HealthClient, name string) (healthpb.HealthCheckResponse_ServingStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, f.w.cfg.patient(checkTimeout))
	defer cancel()
	resp, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: name})
	return resp.GetStatus(), err
}
