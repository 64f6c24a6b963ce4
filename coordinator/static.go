package coordinator

import (
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// static returns the checked registrations of the configured targets.
func (c *Config) static() ([]wire.Registration, error) {
	var all []wire.Registration
	for start := 0; start < len(c.Static); start += wire.MaxRegistrations {
		part := c.Static[start:min(start+wire.MaxRegistrations, len(c.Static))]
		req := &pb.RegisterRequest{}
		for i := range part {
			req.Registrations = append(req.Registrations, part[i].registration())
		}
		regs, err := wire.Registrations(req)
		if err != nil {
			return nil, err
		}
		all = append(all, regs...)
	}
	return all, nil
}

func (t *Target) registration() *pb.Registration {
	return &pb.Registration{
		Service: t.Service, Instance: t.Instance, Address: t.Address, HealthName: t.HealthName,
		Labels: t.Labels, Zone: t.Zone, Version: t.Version, ServerName: t.ServerName, Static: true,
	}
}
