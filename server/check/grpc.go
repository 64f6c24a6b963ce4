package check

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// GRPC returns a check of the health of another service that the program calls. conn is the
// connection that the program uses for these calls, or a connection to a coordinator. name is the
// name of the other service in the health calls. The empty name means the whole server. SERVING is
// a pass, DEGRADED is a warning, and any other status is a failure.
//
// Each run calls Check of meshhealth.v1. If the answer is an error, the run calls Check of
// grpc.health.v1, because some interceptors and proxies allow only this. If the server has the
// method Watch, the check also keeps a stream open. A change on the stream causes a run at once,
// but does not decide the result. The stream does not prove that calls work, and some servers
// implement Watch only in part.
func GRPC(conn grpc.ClientConnInterface, name string) Func {
	if conn == nil {
		return invalid("conn", "is nil")
	}
	u := &upstream{name: name, extended: pb.NewHealthServiceClient(conn), standard: healthpb.NewHealthClient(conn)}
	return u.run
}

// upstream is the service whose health GRPC checks.
type upstream struct {
	name     string
	extended pb.HealthServiceClient
	standard healthpb.HealthClient
	stock    atomic.Bool // true if the server does not implement meshhealth.v1
}

func (u *upstream) run(ctx context.Context) error {
	server.Background(ctx, u.watch)
	err := u.ask(ctx)
	if status.Code(err) == codes.Unavailable {
		u.stock.Store(false) // after a restart, a new version of the server may implement meshhealth.v1
	}
	return err
}

var errNeither = errors.New("the server has neither meshhealth.v1 nor grpc.health.v1")

// ask calls Check of meshhealth.v1, unless the server is known not to implement it. If this call
// fails, ask calls Check of grpc.health.v1. If the server does not implement grpc.health.v1 either,
// ask returns the error of the first call.
func (u *upstream) ask(ctx context.Context) error {
	first := errNeither
	if !u.stock.Load() {
		resp, err := u.extended.Check(ctx, &pb.CheckRequest{Service: u.name})
		switch {
		case err == nil:
			return evaluateExtended(resp)
		case ctx.Err() != nil:
			return err
		case status.Code(err) != codes.Unimplemented:
			first = err
		default:
			u.stock.Store(true)
		}
	}
	var trailer metadata.MD
	resp, err := u.standard.Check(ctx, &healthpb.HealthCheckRequest{Service: u.name}, grpc.Trailer(&trailer))
	switch {
	case status.Code(err) == codes.Unimplemented:
		return first
	case err != nil:
		return err
	}
	return evaluateStandard(resp.GetStatus(), trailer.Get(trailerStatus))
}

// trailerStatus is the key of a trailer of Check of grpc.health.v1. In this trailer, a meshhealth
// server sends its exact status, because grpc.health.v1 has no number for some statuses. The key
// must equal TrailerStatus of internal/wire.
const trailerStatus = "meshhealth-status"

// evaluateStandard returns the result of a run for an answer of grpc.health.v1: a status number,
// and the values of the trailer trailerStatus, which are the names of exact statuses. A name is
// ignored if its status does not have this number. DEGRADED is never ignored, because a server may
// send DEGRADED as SERVING or as NOT_SERVING.
func evaluateStandard(number healthpb.HealthCheckResponse_ServingStatus, names []string) error {
	text := number.String()
	for _, name := range names {
		switch s, known := health.ParseStatus(name); {
		case known && s == health.Degraded:
			return health.Warnf("it is %v", s)
		case known && s.GRPC() == int32(number):
			text = s.String()
		}
	}
	if number == healthpb.HealthCheckResponse_SERVING {
		return nil
	}
	return fmt.Errorf("it is %s", text)
}

func evaluateExtended(resp *pb.CheckResponse) error {
	s, _ := health.StatusFromWire(int32(resp.GetStatus()))
	text := s.String()
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

// watch calls the function rerun when a Watch stream receives a change. watch opens a stream of
// meshhealth.v1. If that stream ends without a status, watch opens a stream of grpc.health.v1.
// watch returns when the last stream ends. The next run of the check starts watch again.
func (u *upstream) watch(life context.Context, rerun func()) {
	if !u.stock.Load() && u.watchExtended(life, rerun) || life.Err() != nil {
		return
	}
	u.watchStandard(life, rerun)
}

// watchExtended runs a Watch of meshhealth.v1 until the stream ends. received reports whether a
// status was received.
func (u *upstream) watchExtended(life context.Context, rerun func()) (received bool) {
	changed := onChange(rerun)
	stream, err := u.extended.Watch(life, &pb.WatchRequest{Names: []string{u.name}})
	for err == nil {
		var resp *pb.WatchResponse
		if resp, err = stream.Recv(); err != nil {
			break
		}
		for _, e := range resp.GetEntries() {
			received = true
			changed(int32(e.GetStatus()))
		}
	}
	return received
}

func (u *upstream) watchStandard(life context.Context, rerun func()) {
	changed := onChange(rerun)
	stream, err := u.standard.Watch(life, &healthpb.HealthCheckRequest{Service: u.name})
	for err == nil {
		var resp *healthpb.HealthCheckResponse
		if resp, err = stream.Recv(); err == nil {
			changed(int32(resp.GetStatus()))
		}
	}
}

// onChange returns a function that must be called for each status that a stream receives. This
// function calls rerun if the status differs from the previous one. It does not call rerun for the
// first status, because the present run of the check asks for the status anyway.
func onChange(rerun func()) (received func(status int32)) {
	last, known := int32(0), false
	return func(status int32) {
		if known && status != last {
			rerun()
		}
		last, known = status, true
	}
}
