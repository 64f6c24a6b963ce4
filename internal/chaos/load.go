package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// load registers and overrides, on and on, and writes down what of it was
// acknowledged. Between start and stop only its goroutine touches it.
type load struct {
	client     *client.Client
	address    string // of a target that can be asked under any name
	next       int
	registered []health.ID
	overridden []health.ID
	// slowest is the longest it took a new coordinator to find everybody.
	slowest time.Duration
}

func (r *rig) newLoad(h *hosted) (*load, error) {
	c, err := r.client()
	if err != nil {
		return nil, err
	}
	return &load{client: c, address: h.targets[0].address}, nil
}

// start begins; stop, which may be called again, ends it and waits for that.
func (l *load) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for sleep(ctx, 5*time.Millisecond) {
			l.one(ctx)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// one registers a target, and overrides every third. What is not acknowledged
// may or may not be there afterwards.
func (l *load) one(ctx context.Context) {
	id := health.ID{Service: fmt.Sprintf("load-%d", l.next/10), Instance: fmt.Sprint(l.next)}
	l.next++
	_, err := pb.NewRegistryServiceClient(l.client.Conn()).Register(ctx, &pb.RegisterRequest{Registrations: []*pb.Registration{{
		Service: id.Service, Instance: id.Instance, Address: l.address, Static: true,
	}}})
	if err != nil {
		return
	}
	l.registered = append(l.registered, id)
	if l.next%3 != 0 {
		return
	}
	_, err = pb.NewAdminServiceClient(l.client.Conn()).SetOverride(ctx, &pb.SetOverrideRequest{
		Name: id.String(), Status: pb.Status_STATUS_DEGRADED, Author: "chaos", Reason: "the load of a scenario",
	})
	if err == nil {
		l.overridden = append(l.overridden, id)
	}
}
