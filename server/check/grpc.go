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

// GRPC checks the health of a service that this service calls. conn is the connection that this
// service uses for its calls, or a connection to a coordinator. name is the service name in the
// health calls. The empty name means the whole server. SERVING is a pass, DEGRADED is a warning,
// and any other status is a failure.
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
		u.stock.Store(false) // after a restart the server may have another version
	}
	return err
}

var errNeither = errors.New("the server has neither meshhealth.v1 nor grpc.health.v1")

// ask calls Check of meshhealth.v1, unless stock is set. If this call fails, ask calls Check of
// grpc.health.v1. If the server does not implement the second method, ask returns the error
// of the first call.
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

// trailerStatus is the key of a trailer of Check. A meshhealth server sends its exact status
// in this trailer, because grpc.health.v1 has no number for some statuses. A server without
// the trailer has the status of its number. The key must equal TrailerStatus of internal/wire.
const trailerStatus = "meshhealth-status"

// evaluateStandard evaluates a status of grpc.health.v1. names has the values of the trailer
// trailerStatus, and is empty if the answer has no such trailer. A value counts if its status
// maps to number. DEGRADED always counts, because a server may map DEGRADED to SERVING or to
// NOT_SERVING.
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

// watch calls again when a Watch stream receives a change. watch opens a stream of
// meshhealth.v1. If that stream ends without a status, watch opens a stream of grpc.health.v1.
// watch returns when the last stream ends. The next run of the check starts watch again.
func (u *upstream) watch(life context.Context, again func()) {
	if !u.stock.Load() && u.watchExtended(life, again) || life.Err() != nil {
		return
	}
	u.watchStandard(life, again)
}

// watchExtended runs a Watch of meshhealth.v1 until the stream ends. received reports whether a
// status was received.
func (u *upstream) watchExtended(life context.Context, again func()) (received bool) {
	changed := onChange(again)
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

func (u *upstream) watchStandard(life context.Context, again func()) {
	changed := onChange(again)
	stream, err := u.standard.Watch(life, &healthpb.HealthCheckRequest{Service: u.name})
	for err == nil {
		var resp *healthpb.HealthCheckResponse
		if resp, err = stream.Recv(); err == nil {
			changed(int32(resp.GetStatus()))
		}
	}
}

// onChange returns the function received, which must be called for each status of a stream.
// received calls again if the status differs from the previous one. It ignores the first status,
// because the present run of the check has already asked for it.
func onChange(again func()) (received func(status int32)) {
	last, known := int32(0), false
	return func(status int32) {
		if known && status != last {
			again()
		}
		last, known = status, true
	}
}
