package rpc

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// registryService serves RegistryService.
type registryService struct {
	pb.UnimplementedRegistryServiceServer
	s *Server
}

// Register adds or updates instances, and answers when they are durable.
func (r registryService) Register(ctx context.Context, req *pb.RegisterRequest) (*pb.RegisterResponse, error) {
	regs, err := wire.Registrations(req)
	if err != nil {
		return nil, err
	}
	if err := r.admit(ctx, regs); err != nil {
		return nil, err
	}
	specs, err := r.s.cfg.Registry.Register(ctx, regs)
	if err != nil {
		return nil, wire.GRPC(err)
	}
	resp := &pb.RegisterResponse{}
	for i, spec := range specs {
		resp.Leases = append(resp.Leases, leaseOf(regs[i].ID, spec))
	}
	return resp, nil
}

// admit decides about each name, and fixes the addresses that will be dialled.
func (r registryService) admit(ctx context.Context, regs []wire.Registration) error {
	var v wire.Violations
	for i := range regs {
		if err := r.s.allow(ctx, actionRegister, regs[i].ID); err != nil {
			return wire.GRPC(err)
		}
		address, err := r.s.cfg.Targets.Resolve(regs[i].Spec.Address, caller(ctx))
		v.Check(fmt.Sprintf("registrations[%d].address", i), err)
		regs[i].Spec.Address = address
	}
	return v.Err()
}

func leaseOf(id health.ID, s *health.Spec) *pb.Lease {
	l := &pb.Lease{
		Service: id.Service, Instance: id.Instance, Address: s.Address,
		LeaseId: strconv.FormatUint(s.Lease, 16),
	}
	if !s.Static {
		l.Ttl = durationpb.New(s.TTL)
	}
	return l
}

// Renew keeps a lease.
func (r registryService) Renew(ctx context.Context, req *pb.RenewRequest) (*pb.RenewResponse, error) {
	id, lease, err := leased(req, true)
	if err != nil {
		return nil, err
	}
	if err := r.s.allow(ctx, actionRegister, id); err != nil {
		return nil, wire.GRPC(err)
	}
	ttl, unreachable, err := r.s.cfg.Registry.Renew(ctx, id, lease)
	if err != nil {
		return nil, wire.GRPC(err)
	}
	return &pb.RenewResponse{Ttl: durationpb.New(ttl), Unreachable: unreachable}, nil
}

// Deregister removes an instance, and answers when that is durable.
func (r registryService) Deregister(ctx context.Context, req *pb.DeregisterRequest) (*pb.DeregisterResponse, error) {
	id, lease, err := leased(req, false)
	if err != nil {
		return nil, err
	}
	if err := r.s.allow(ctx, actionRegister, id); err != nil {
		return nil, wire.GRPC(err)
	}
	if err := r.s.cfg.Registry.Deregister(ctx, id, lease); err != nil {
		return nil, wire.GRPC(err)
	}
	return &pb.DeregisterResponse{}, nil
}

// leaseRequest is what Renew, Deregister and Report begin with.
type leaseRequest interface {
	GetService() string
	GetInstance() string
	GetLeaseId() string
}

// leased checks a request that names an instance, and its lease if it must.
func leased(req leaseRequest, must bool) (health.ID, uint64, error) {
	var v wire.Violations
	v.Check("service", wire.CheckService(req.GetService()))
	v.Check("instance", wire.CheckInstance(req.GetInstance()))
	lease, err := parseLease(req.GetLeaseId())
	if req.GetLeaseId() != "" || must {
		v.Check("lease_id", err)
	}
	return health.ID{Service: req.GetService(), Instance: req.GetInstance()}, lease, v.Err()
}

func parseLease(text string) (uint64, error) {
	lease, err := strconv.ParseUint(text, 16, 64)
	if err != nil || len(text) > wire.MaxLeaseID {
		return 0, errors.New("is not a lease id; allowed: the lease_id Register answered")
	}
	return lease, nil
}
