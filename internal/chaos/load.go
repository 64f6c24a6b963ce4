package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// maxLoad is the largest number of targets that the goroutine of a load keeps registered. Without
// this limit, the number would grow with the duration of the scenario.
const maxLoad = 500

// load registers, overrides and deregisters targets in a goroutine, and records the acknowledged
// calls. While the goroutine runs, no other goroutine may read the fields.
type load struct {
	client       *client.Client
	rig          *rig
	address      string      // HOST:PORT of a stock server, the address of all targets of the load
	next         int         // number of the target that is registered next
	registered   []health.ID // registered targets: their registration was acknowledged
	overridden   []health.ID // registered targets with an override that was acknowledged
	deregistered []health.ID // targets with an acknowledged deregistration
	acknowledged int         // number of acknowledged registrations and overrides
	refused      error       // last call that the coordinator did not allow; nil if there is none
	// slowest is the longest time that a restarted coordinator needed to confirm all targets.
	slowest time.Duration
}

func newLoad(r *rig, h *hostProcess) (*load, error) {
	c, err := r.newClient()
	if err != nil {
		return nil, err
	}
	return &load{client: c, rig: r, address: h.targets[0].address}, nil
}

// start starts a goroutine that registers and deregisters targets. The returned function stop ends
// the goroutine and waits for its end. stop may be called more than once. The present process of the
// coordinator gets all overrides over its unix socket, because it permits them nowhere else.
func (l *load) start(ctx context.Context) (stop func(), err error) {
	local, err := grpc.NewClient("unix:"+l.rig.coordinator.socket, grpc.WithTransportCredentials(local.NewCredentials()))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer local.Close() //nolint:errcheck // nothing is lost: all calls have ended
		admin, registry := pb.NewAdminServiceClient(local), pb.NewRegistryServiceClient(local)
		for sleep(ctx, 5*time.Millisecond) {
			l.registerNext(ctx, admin)
			if len(l.registered) > maxLoad {
				l.deregisterOldest(ctx, registry)
			}
		}
	})
	return func() { cancel(); wg.Wait() }, nil
}

// registerNext registers the next target, and overrides the status of every third target. It
// records only acknowledged calls. A call that failed may have had an effect or not.
func (l *load) registerNext(ctx context.Context, admin pb.AdminServiceClient) {
	id := health.ID{Service: fmt.Sprintf("load-%d", l.next/10), Instance: fmt.Sprint(l.next)}
	l.next++
	_, err := pb.NewRegistryServiceClient(l.client.Conn()).Register(ctx, &pb.RegisterRequest{Registrations: []*pb.Registration{{
		Service: id.Service, Instance: id.Instance, Address: l.address, Static: true,
	}}})
	if l.note(err); err != nil {
		return
	}
	l.registered, l.acknowledged = append(l.registered, id), l.acknowledged+1
	if l.next%3 != 0 {
		return
	}
	_, err = admin.SetOverride(ctx, &pb.SetOverrideRequest{
		Name: id.String(), Status: pb.Status_STATUS_DEGRADED, Reason: "the load of a scenario", Ttl: durationpb.New(time.Hour),
	})
	if l.note(err); err == nil {
		l.overridden, l.acknowledged = append(l.overridden, id), l.acknowledged+1
	}
}

// deregisterOldest deregisters the target that was registered first, over the unix socket. If the call fails,
// the load forgets the target, since the target may be registered or not.
func (l *load) deregisterOldest(ctx context.Context, registry pb.RegistryServiceClient) {
	id := l.registered[0]
	l.registered = l.registered[1:]
	l.overridden = slices.DeleteFunc(l.overridden, func(one health.ID) bool { return one == id })
	_, err := registry.Deregister(ctx, &pb.DeregisterRequest{Service: id.Service, Instance: id.Instance})
	if l.note(err); err == nil {
		l.deregistered = append(l.deregistered, id)
	}
}

// note keeps the error of a call that the coordinator did not allow. Without it, a scenario in which every
// override is refused would find nothing lost.
func (l *load) note(err error) {
	if code := status.Code(err); code == codes.PermissionDenied || code == codes.Unauthenticated {
		l.refused = err
	}
}
