package check_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	ours "github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/check"
)

// turnsAway is an interceptor that answers all methods but the allowed ones with a code.
func turnsAway(code codes.Code, allowed ...string) []grpc.ServerOption {
	refused := func(method string) error {
		for _, a := range allowed {
			if strings.HasPrefix(method, a) {
				return nil
			}
		}
		return status.Error(code, "not for you")
	}
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := refused(info.FullMethod); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := refused(info.FullMethod); err != nil {
				return err
			}
			return next(srv, stream)
		}),
	}
}

const stockMethods, stockCheck = "/grpc.health.v1.Health/", healthpb.Health_Check_FullMethodName

// TestGRPCTurnedAway: if an interceptor rejects one method, the check calls the next.
func TestGRPCTurnedAway(t *testing.T) {
	for _, code := range []codes.Code{
		codes.Unauthenticated, codes.PermissionDenied, codes.NotFound, codes.Internal, codes.Unimplemented,
		codes.Unavailable, codes.Unknown, codes.ResourceExhausted,
	} {
		for _, allowed := range []string{stockMethods, stockCheck} {
			t.Run(fmt.Sprint(code, " but for ", allowed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { turnedAway(t, code, allowed) })
			})
		}
	}
}

func turnedAway(t *testing.T, code codes.Code, allowed string) {
	stock := health.NewServer()
	stock.SetServingStatus("orders", healthpb.HealthCheckResponse_SERVING)
	o := upstream(t, func(g *grpc.Server) {
		healthpb.RegisterHealthServer(g, stock)
		pb.RegisterHealthServiceServer(g, pb.UnimplementedHealthServiceServer{})
	}, turnsAway(code, allowed)...)
	s := inServer(t, server.Check{Name: "orders", Run: check.GRPC(o.conn, "orders"), Every: time.Minute, FailAfter: 1, RecoverAfter: 1})
	time.Sleep(10 * time.Second)
	wantChecked(t, s, ours.Serving, "")
	stock.SetServingStatus("orders", healthpb.HealthCheckResponse_NOT_SERVING)
	if allowed == stockCheck {
		time.Sleep(2 * time.Minute) // there is no Watch, so a run must find it
	} else {
		time.Sleep(time.Second)
	}
	wantChecked(t, s, ours.NotServing, "it is NOT_SERVING")
}

// TestGRPCTurnedAwayAltogether: if all methods are rejected, the check returns the last
// error. If the last method is not implemented, it returns the error before.
func TestGRPCTurnedAwayAltogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := upstream(t, func(g *grpc.Server) {
			healthpb.RegisterHealthServer(g, health.NewServer())
		}, turnsAway(codes.PermissionDenied)...)
		wantEvidence(t, "both", check.GRPC(all.conn, ""), machine.Fail, "PermissionDenied", "not for you")
		only := upstream(t, func(g *grpc.Server) {
			pb.RegisterHealthServiceServer(g, pb.UnimplementedHealthServiceServer{})
		}, turnsAway(codes.PermissionDenied, stockMethods)...)
		wantEvidence(t, "the first", check.GRPC(only.conn, ""), machine.Fail, "PermissionDenied", "not for you")
	})
}

// TestGRPCTrailer: a meshhealth server reports DEGRADED on grpc.health.v1 in a trailer.
func TestGRPCTrailer(t *testing.T) {
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			up, err := server.New(server.Config{Service: "orders", DegradedNotServing: strict})
			if err != nil {
				t.Fatal(err)
			}
			o := upstream(t, func(g *grpc.Server) { up.Register(g) }, turnsAway(codes.PermissionDenied, stockMethods)...)
			for _, c := range []struct {
				set  ours.Status
				want machine.Evidence
				text []string
			}{
				{ours.Serving, machine.Pass, nil},
				{ours.Degraded, machine.Warn, []string{"it is DEGRADED"}},
				{ours.Serving, machine.Pass, nil},
				{ours.NotServing, machine.Fail, []string{"it is NOT_SERVING"}},
				{ours.Maintenance, machine.Fail, []string{"it is MAINTENANCE"}},
			} {
				if err := up.SetStatus(c.set, ""); err != nil {
					t.Fatal(err)
				}
				wantEvidence(t, c.set.String(), check.GRPC(o.conn, "orders"), c.want, c.text...)
			}
		})
	}
}

// alwaysTrailers answers as servers of earlier versions do: with trailers for every status.
type alwaysTrailers struct {
	healthpb.UnimplementedHealthServer
	status ours.Status
}

func (a alwaysTrailers) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	s := healthpb.HealthCheckResponse_ServingStatus(a.status.GRPC())
	return &healthpb.HealthCheckResponse{Status: s}, grpc.SetTrailer(ctx, metadata.Pairs(
		"meshhealth-status", a.status.String(), "meshhealth-cause", a.status.Cause().String(), "meshhealth-unconfirmed", "false",
	))
}

// TestGRPCTrailerOfEarlierVersions: SERVING with trailers, which earlier versions send, is a
// pass as SERVING without trailers is.
func TestGRPCTrailerOfEarlierVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for status, want := range map[ours.Status]machine.Evidence{
			ours.Serving: machine.Pass, ours.Degraded: machine.Warn, ours.Maintenance: machine.Fail,
		} {
			o := upstream(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, alwaysTrailers{status: status}) })
			var text []string
			if want != machine.Pass {
				text = []string{"it is " + status.String()}
			}
			wantEvidence(t, status.String(), check.GRPC(o.conn, ""), want, text...)
		}
	})
}

// halfWatch has a Check that works and a Watch that does not.
type halfWatch struct {
	polled
	watch func(grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error
}

func (h *halfWatch) Watch(_ *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return h.watch(stream)
}

// TestGRPCHalfWatch: a Watch that is not fully implemented neither decides the status nor
// causes runs.
func TestGRPCHalfWatch(t *testing.T) {
	says := func(status healthpb.HealthCheckResponse_ServingStatus, stays bool) func(grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
		return func(stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
			err := stream.Send(&healthpb.HealthCheckResponse{Status: status})
			if stays {
				<-stream.Context().Done()
			}
			return err
		}
	}
	for kind, watch := range map[string]func(grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error{
		"returns OK": func(grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error { return nil },
		"returns an error": func(grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
			return status.Error(codes.Internal, "todo")
		},
		"panics into UNKNOWN": func(grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
			return status.Error(codes.Unknown, "")
		},
		"stays silent": func(stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
			<-stream.Context().Done()
			return nil
		},
		"says SERVING and ends":      says(healthpb.HealthCheckResponse_SERVING, false),
		"says SERVING and stays":     says(healthpb.HealthCheckResponse_SERVING, true),
		"says NOT_SERVING and ends":  says(healthpb.HealthCheckResponse_NOT_SERVING, false),
		"says NOT_SERVING and stays": says(healthpb.HealthCheckResponse_NOT_SERVING, true),
		"repeats itself": func(stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-stream.Context().Done():
					return nil
				case <-ticker.C:
				}
				if err := stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}); err != nil {
					return err
				}
			}
		},
	} {
		for wanted, by := range map[ours.Status]healthpb.HealthCheckResponse_ServingStatus{
			ours.Serving: healthpb.HealthCheckResponse_SERVING, ours.NotServing: healthpb.HealthCheckResponse_NOT_SERVING,
		} {
			t.Run(fmt.Sprint(kind, ", is ", wanted), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					up := &halfWatch{polled: polled{status: by}, watch: watch}
					o := upstream(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, up) })
					s := inServer(t, server.Check{Name: "orders", Run: check.GRPC(o.conn, "orders"), Every: time.Minute, FailAfter: 1})
					time.Sleep(10*time.Minute + 30*time.Second)
					reason, most := "", int64(13)
					if wanted == ours.NotServing {
						reason, most = "it is NOT_SERVING", 65 // a status in doubt makes runs five times as frequent
					}
					wantChecked(t, s, wanted, reason)
					if runs := int64(s.Checks()[0].Runs); runs < 9 || runs > most {
						t.Errorf("%d runs in ten minutes, want %d at most", runs, most)
					}
				})
			})
		}
	}
}
