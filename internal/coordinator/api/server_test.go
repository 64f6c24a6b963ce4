package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// A feature of a later version is refused with an alternative.
func TestLaterIsUnimplemented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for _, method := range []string{"/meshhealth.v1.AdminService/Reboot", "/meshhealth.v2.AdminService/Explain"} {
			err := w.conn.Invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{})
			wantCode(t, err, codes.Unimplemented, "")
			wantText(t, err, "unknown")
		}
		w.calls()
	})
}

func TestGetCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) {
			s.Stats = func(r *pb.GetCoordinatorResponse) { r.Instances = 17 }
		})
		w.watch(&pb.WatchRequest{})
		w.lease("pay/1")
		synctest.Wait()
		r, err := w.admin.GetCoordinator(t.Context(), &pb.GetCoordinatorRequest{})
		if err != nil || r.GetBuild() != "v9" || r.GetEpoch() != 77 || r.GetRevision() != w.registry.Feed().Revision() ||
			r.GetStatus() != pb.Status_STATUS_SERVING || r.GetWatchers() != 1 || r.GetInstances() != 17 {
			t.Errorf("%v, %v", r, err)
		}
	})
}

// A panic in a handler ends its call and is logged. Other calls are not affected.
func TestPanicEndsOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := newWorld(t, func(s *setup) {
			s.Stats = func(*pb.GetCoordinatorResponse) { panic("a secret") }
			s.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		err := w.send(&pb.GetCoordinatorRequest{})
		wantCode(t, err, codes.Internal, "")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("it tells strangers: %v", err)
		}
		w.lease("pay/1")
		in.wants("pay/1 STARTING")
		if text := log.String(); !strings.Contains(text, "a secret") || !strings.Contains(text, "/meshhealth.v1.AdminService/GetCoordinator") {
			t.Errorf("the log says %q", text)
		}
	})
}

// Interceptors see the same result of every call as its client, also of a panic.
func TestInterceptorsSeeEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []string
		see := func(method string, err error) error {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, method[strings.LastIndex(method, "/")+1:]+" "+status.Code(err).String())
			return err
		}
		w := newWorld(t, func(s *setup) {
			s.Stats = func(*pb.GetCoordinatorResponse) { panic("a bug") }
			s.Unary = []grpc.UnaryServerInterceptor{func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				resp, err := next(ctx, req)
				return resp, see(info.FullMethod, err)
			}}
			s.Stream = []grpc.StreamServerInterceptor{func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				return see(info.FullMethod, next(srv, stream))
			}}
		})
		for _, req := range []any{
			&pb.ListRequest{}, &pb.GetCoordinatorRequest{}, &pb.RenewRequest{},
			&pb.WatchRequest{Names: []string{"a b"}}, &pb.ReportRequest{},
		} {
			_ = w.send(req)
			synctest.Wait()
		}
		mu.Lock()
		defer mu.Unlock()
		want := []string{"List OK", "GetCoordinator Internal", "Renew InvalidArgument", "Watch InvalidArgument", "Report InvalidArgument"}
		if !slices.Equal(seen, want) {
			t.Errorf("%q, want %q", seen, want)
		}
	})
}

// Reflection is served only if Config.Reflection is set.
func TestReflection(t *testing.T) {
	for _, on := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(s *setup) { s.Reflection = on })
			got, err := listed(t, w.conn)
			if !on {
				wantCode(t, err, codes.Unimplemented, "")
				return
			}
			for _, name := range []string{"grpc.health.v1.Health", "meshhealth.v1.AdminService", "meshhealth.v1.HealthService", "meshhealth.v1.RegistryService"} {
				if err != nil || !slices.Contains(got, name) {
					t.Errorf("%q, %v: %s is missing", got, err, name)
				}
			}
		})
	}
}

func listed(t *testing.T, conn *grpc.ClientConn) (names []string, err error) {
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		return nil, err
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	// io.EOF means that the call was refused; Recv returns the reason.
	if err := stream.Send(ask); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	resp, err := stream.Recv()
	for _, s := range resp.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	return names, err
}
