package follow

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
)

// TestStreamLimit tests targets that allow few streams on a connection. More
// connections are opened. Each instance is followed, and the path is not at fault.
func TestStreamLimit(t *testing.T) {
	for _, protocol := range []string{"ours", "stock", "check"} {
		for _, instances := range []int{6, 40} {
			t.Run(fmt.Sprint(protocol, instances), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t)
					reg := map[string]func() func(*grpc.Server){
						"ours":  func() func(*grpc.Server) { _, reg := running(t, "pay"); return reg },
						"stock": func() func(*grpc.Server) { _, reg := knows("pay"); return reg },
						"check": func() func(*grpc.Server) { s, _ := knows("pay"); return checkOnly{s}.register },
					}[protocol]()
					r.serveWith("host:1", reg, grpc.MaxConcurrentStreams(3))
					for i := range instances {
						r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: "host:1"})
					}
					r.after(2 * time.Minute)
					served := map[string]bool{}
					for _, e := range r.after(time.Minute) {
						switch e.Kind {
						case mesh.EventReport, mesh.EventAlive:
							served[e.ID.Instance] = true
						default:
							t.Errorf("at %v evidence %v (%s) since %v, modes %v", e.at, e, e.Reason, e.since, r.manager.Modes())
						}
					}
					if len(served) != instances {
						t.Errorf("%d of %d have answered", len(served), instances)
					}
					if n := len(r.dialled("host:1")); n > 2*maxConns { // some were closed and dialled again
						t.Errorf("%d connections, want %d at most", n, 2*maxConns)
					}
				})
			})
		}
	}
}

// failing answers Check with an error.
type failing struct {
	healthpb.UnimplementedHealthServer
	err error
}

func (f failing) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return nil, f.err
}

// TestAnsweredErrors tests the evidence for each error that a target answers to Check,
// the last protocol of the chain. The polls must go on.
func TestAnsweredErrors(t *testing.T) {
	for code, want := range map[codes.Code]mesh.EventKind{
		codes.Unknown: mesh.EventFailed, codes.Internal: mesh.EventFailed, codes.InvalidArgument: mesh.EventFailed,
		codes.FailedPrecondition: mesh.EventFailed, codes.Aborted: mesh.EventFailed, codes.OutOfRange: mesh.EventFailed,
		codes.AlreadyExists: mesh.EventFailed, codes.DataLoss: mesh.EventFailed,
		codes.Unavailable: mesh.EventPath, codes.DeadlineExceeded: mesh.EventPath, codes.Canceled: mesh.EventPath,
		codes.ResourceExhausted: mesh.EventQuota,
		codes.Unauthenticated:   mesh.EventConfig, codes.PermissionDenied: mesh.EventConfig,
		codes.NotFound: mesh.EventConfig, codes.Unimplemented: mesh.EventConfig,
		codes.Code(77): mesh.EventMalformed,
	} {
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.serve("host:1", checkOnly{failing{err: status.Error(code, "health: db not ok")}}.register)
				r.register("pay/a", health.Spec{Address: "host:1"})
				got := r.after(20 * time.Second)
				if len(got) < 2 {
					t.Fatalf("%d pieces of evidence in 20 s, want several", len(got))
				}
				for _, e := range got {
					if e.Kind != want || e.Reason == "" {
						t.Errorf("evidence %v (%s), want event %d", e, e.Reason, want)
					}
				}
				if d := got[1].at.Sub(got[0].at); want == mesh.EventFailed && (d < 900*time.Millisecond || d > 2*time.Second) {
					t.Errorf("polled again after %v", d)
				}
			})
		})
	}
}
