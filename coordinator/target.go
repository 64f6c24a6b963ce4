package coordinator

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Target is one instance that the configuration registers.
type Target struct {
	// Service and Instance are the name of the instance.
	Service, Instance string
	// Address is the host:port of the instance.
	Address string
	// HealthName is the service name in health calls to the instance; empty means the value of
	// Service.
	HealthName string
	Labels     map[string]string
	Zone       string
	Version    string
	// ServerName is the name that the certificate of the instance must have. Empty means the
	// host of Address.
	ServerName string
	// Traffic says where the instance receives traffic, and how much.
	Traffic health.Traffic
	// Region is the region in which Zone is.
	Region string
}

// parseTargets returns the registrations of configured targets. If some targets are not valid, it
// returns one error that lists all faults by field.
func parseTargets(targets []Target) (all []wire.Registration, err error) {
	var errs []error
	seen := map[health.ID]int{}
	for i := range targets {
		reg, err := wire.OneRegistration(targets[i].registration())
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s", targetField(i), status.Convert(err).Message()))
			continue
		}
		if first, twice := seen[reg.ID]; twice {
			errs = append(errs, fmt.Errorf("%s: names %v, as %s does; allowed: each once", targetField(i), reg.ID, targetField(first)))
			continue
		}
		if err := wire.CheckHostAddress(reg.Spec.Address); err != nil {
			errs = append(errs, fmt.Errorf("%s.Address: %w", targetField(i), err))
			continue
		}
		reg.Spec.Traffic.Address = wire.TrafficAddress(reg.Spec.Traffic.Address, reg.Spec.Address)
		seen[reg.ID] = i
		reg.Spec.Configured, reg.Spec.Proof = true, health.ProofConfigured
		all = append(all, reg)
	}
	return all, errors.Join(errs...)
}

// targetField returns the words that name the configured target i in an error text.
func targetField(i int) string { return fmt.Sprintf("Static[%d]", i) }

func (t *Target) registration() *pb.Registration {
	return &pb.Registration{
		Service: t.Service, Instance: t.Instance, Address: t.Address, HealthName: t.HealthName,
		Labels: t.Labels, Zone: t.Zone, Version: t.Version, ServerName: t.ServerName, Static: true,
		Region:  t.Region,
		Traffic: wire.TrafficMessage(&t.Traffic),
	}
}
