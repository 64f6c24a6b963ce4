package writer

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/kube/internal/plan"
)

// registryTimeout limits one call of the coordinator's registry.
const registryTimeout = 10 * time.Second

var errExists = errors.New("the Pod exists, although it was not listed")

// act registers and removes imported Pods.
func (r *run) act(ctx context.Context, actions []plan.Action) []plan.ActionResult {
	registry := pb.NewRegistryServiceClient(r.cfg.Mesh.Conn())
	results := make([]plan.ActionResult, len(actions))
	var batch []int // actions that only register
	for i, a := range actions {
		results[i].Action = a
		switch {
		case a.Conflict:
		case a.Remove == nil:
			batch = append(batch, i)
		default:
			results[i].Err = r.replace(ctx, registry, a)
		}
	}
	r.register(ctx, registry, batch, results)
	for i := range results {
		results[i].Refused = refused(results[i].Err)
	}
	return results
}

// register registers the actions with the given indexes together. If one of them is refused, all are, and
// so they are registered one by one.
func (r *run) register(ctx context.Context, registry pb.RegistryServiceClient, batch []int, results []plan.ActionResult) {
	if len(batch) == 0 {
		return
	}
	req := &pb.RegisterRequest{}
	for _, i := range batch {
		req.Registrations = append(req.Registrations, results[i].Action.Register)
	}
	err := call(ctx, func(ctx context.Context) error {
		_, err := registry.Register(ctx, req)
		return err
	})
	if refused(err) && len(batch) > 1 {
		for _, i := range batch {
			r.register(ctx, registry, []int{i}, results)
		}
		return
	}
	for _, i := range batch {
		results[i].Err = err
	}
}

// replace removes a registration, and then registers the new one if there is one. A Pod that is only
// missing in a list is not trusted to be gone: the API server is asked for it.
func (r *run) replace(ctx context.Context, registry pb.RegistryServiceClient, a plan.Action) error {
	exists, err := r.cfg.Cluster.Imported(ctx, a.Remove)
	if err != nil {
		return err
	}
	if exists {
		return errExists
	}
	err = call(ctx, func(ctx context.Context) error {
		_, err := registry.Deregister(ctx, &pb.DeregisterRequest{Service: a.ID.Service, Instance: a.ID.Instance})
		return err
	})
	if err != nil && status.Code(err) != codes.NotFound || a.Register == nil {
		return err
	}
	return call(ctx, func(ctx context.Context) error {
		_, err := registry.Register(ctx, &pb.RegisterRequest{Registrations: []*pb.Registration{a.Register}})
		return err
	})
}

func call(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	return f(ctx)
}

// refused reports whether the coordinator will refuse the same call again.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition,
		codes.ResourceExhausted, codes.Unimplemented:
		return true
	}
	return false
}
