package api

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// registryService implements RegistryService, which instances call.
type registryService struct {
	pb.UnimplementedRegistryServiceServer
	cfg *Config
	// stopping is closed when the server begins to stop.
	stopping <-chan struct{}
}

// Register adds or updates instances. It returns when their registrations are durable.
func (r registryService) Register(ctx context.Context, req *pb.RegisterRequest) (*pb.RegisterResponse, error) {
	regs, err := wire.Registrations(req)
	if err != nil {
		return nil, err
	}
	if err := r.resolveAddresses(ctx, regs); err != nil {
		return nil, err
	}
	specs, err := r.cfg.Registry.Register(ctx, regs)
	if err != nil {
		return nil, wire.GRPC(err)
	}
	resp := &pb.RegisterResponse{}
	for i, spec := range specs {
		resp.Leases = append(resp.Leases, leaseOf(regs[i].ID, spec))
		if l := r.cfg.Access.learning(); l != nil {
			l.registered(r.cfg.Access.Rights(ctx), regs[i].ID, spec, regs[i].By.Peer)
		}
	}
	return resp, nil
}

// resolveAddresses asks the access policy about each instance in regs. It replaces the address of
// each instance by the address that the coordinator will dial.
func (r registryService) resolveAddresses(ctx context.Context, regs []wire.Registration) error {
	var v wire.Violations
	rights, peer := r.cfg.Access.Rights(ctx), callerAddr(ctx)
	for i := range regs {
		name := access.Of(regs[i].ID)
		if err := rights.Check(access.VerbRegister, name); err != nil {
			return wire.GRPC(r.cfg.refuse(ctx, rights, access.VerbRegister.String(), name, err))
		}
		regs[i].By = registrantOf(rights, peer)
		spec := &regs[i].Spec
		var err error
		spec.Address, spec.Proof, err = r.resolve(rights, name, spec.Address, peer)
		v.Check(fmt.Sprintf("registrations[%d].address", i), err)
		if spec.Traffic.Address = wire.TrafficAddress(spec.Traffic.Address, spec.Address); err == nil && spec.Traffic.Address != "" {
			_, spec.Proof, err = r.resolve(rights, name, spec.Traffic.Address, peer)
			v.Check(fmt.Sprintf("registrations[%d].traffic.address", i), err)
		}
	}
	return v.Err()
}

// resolve returns the address to use for an address in a registration, and the proof that the caller may receive
// traffic there. It returns an error if the caller may not register the address.
func (r registryService) resolve(rights *access.Rights, name access.Name, address string, peer netip.Addr) (string, health.EndpointProof, error) {
	resolved, at, err := r.cfg.Targets.Resolve(address, peer)
	if err != nil {
		return "", health.ProofMissing, err
	}
	_, placed := rights.MayRegister(name, access.Endpoint{IP: at.Addr(), Port: at.Port(), Peer: peer})
	if placed == access.NotPlaced {
		return "", health.ProofMissing, fmt.Errorf("%w: %s is not one that the access policy allows you for %s; allowed: %s",
			wire.ErrTarget, resolved, name, rights.Endpoints(name, peer))
	}
	return resolved, placed.Proof(), nil
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

// Renew extends the lease of an instance by its TTL.
func (r registryService) Renew(ctx context.Context, req *pb.RenewRequest) (*pb.RenewResponse, error) {
	id, lease, err := parseLeaseRequest(req, true)
	if err != nil {
		return nil, err
	}
	name, rights := access.Of(id), r.cfg.Access.Rights(ctx)
	if err := r.cfg.check(ctx, access.VerbRegister, name); err != nil {
		return nil, err
	}
	ttl, unreachable, err := r.cfg.Registry.Renew(ctx, id, lease, registrantOf(rights, callerAddr(ctx)))
	if err != nil {
		return nil, wire.GRPC(r.cfg.noteDenied(ctx, rights, access.VerbRegister, name, err))
	}
	if l := r.cfg.Access.learning(); l != nil {
		if e, ok := r.cfg.Feed.Get(id); ok && e.Spec != nil {
			l.registered(r.cfg.Access.Rights(ctx), id, e.Spec, callerAddr(ctx))
		}
	}
	return &pb.RenewResponse{Ttl: durationpb.New(ttl), Unreachable: unreachable}, nil
}

// Deregister removes an instance. It returns when the removal is durable.
func (r registryService) Deregister(ctx context.Context, req *pb.DeregisterRequest) (*pb.DeregisterResponse, error) {
	id, lease, err := parseLeaseRequest(req, false)
	if err != nil {
		return nil, err
	}
	returns, err := r.deregister(ctx, id, lease, req.GetForce())
	if err != nil {
		return nil, wire.GRPC(err)
	}
	return &pb.DeregisterResponse{Returns: returns}, nil
}

// deregister removes an instance. A caller needs the identity that has registered it, or the right VerbAdmin. For an
// instance that was registered without an identity, its lease is enough. Only the removal by VerbAdmin is audited.
func (r registryService) deregister(ctx context.Context, id health.ID, lease uint64, force bool) (returns bool, err error) {
	rights, name := r.cfg.Access.Rights(ctx), access.Of(id)
	by := registrantOf(rights, callerAddr(ctx))
	rule, admin := rights.Allows(access.VerbAdmin, name)
	if l := r.cfg.Access.learning(); l != nil {
		e, ok := r.cfg.Feed.Get(id)
		defer func() {
			if err == nil && ok && e.Spec != nil {
				l.deregistered(rights, id, e.Spec, by, lease)
			}
		}()
	}
	if !admin || lease != 0 {
		if err := r.cfg.check(ctx, access.VerbRegister, name); err != nil {
			return false, err
		}
		returns, err = r.cfg.Registry.Deregister(ctx, id, lease, force, by)
		return returns, r.cfg.noteDenied(ctx, rights, access.VerbAdmin, name, err)
	}
	detail := "deregister"
	if force {
		detail += ", also if its process renews the lease"
	}
	err = r.cfg.audited(ctx, access.VerbAdmin, name, rule, detail, func() (err error) {
		returns, err = r.cfg.Registry.Deregister(ctx, id, 0, force, by)
		return err
	})
	return returns, err
}

// registrantOf returns who registers, renews or deregisters.
func registrantOf(rights *access.Rights, peer netip.Addr) wire.Registrant {
	_, admin := rights.Allows(access.VerbAdmin, access.Name{})
	return wire.Registrant{Identity: rights.Identity(), Peer: peer, OwnOnly: !admin, Most: rights.Instances()}
}

// leaseRequest is a request that names an instance and its lease.
type leaseRequest interface {
	GetService() string
	GetInstance() string
	GetLeaseId() string
}

// parseLeaseRequest returns the instance and the lease in a request. If required is false, the
// request may have no lease. In this case the returned lease is 0.
func parseLeaseRequest(req leaseRequest, required bool) (health.ID, uint64, error) {
	var v wire.Violations
	v.Check("service", wire.CheckService(req.GetService()))
	v.Check("instance", wire.CheckInstance(req.GetInstance()))
	lease, err := parseLeaseID(req.GetLeaseId())
	if req.GetLeaseId() != "" || required {
		v.Check("lease_id", err)
	}
	return health.ID{Service: req.GetService(), Instance: req.GetInstance()}, lease, v.Err()
}

func parseLeaseID(text string) (uint64, error) {
	lease, err := strconv.ParseUint(text, 16, 64)
	if err != nil || len(text) > wire.MaxLeaseID {
		return 0, errors.New("is not a lease id; allowed: the lease_id Register answered")
	}
	return lease, nil
}
