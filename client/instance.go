package client

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Instance is what to register. Service, Instance and Address are required.
type Instance struct {
	// Service is what it is one of: 1 to 255 of [A-Za-z0-9._-].
	Service string
	// Instance tells it from the others: 1 to 255 of [A-Za-z0-9._:-]. Who
	// comes back under the same name after a restart keeps its history.
	Instance string
	// Address is where the coordinator asks for its health: HOST:PORT, or
	// :PORT for the address the coordinator sees us from.
	Address string
	// HealthName is what to ask for there; empty means Service.
	HealthName string
	// Labels: at most 64.
	Labels map[string]string
	// Zone is where it is: at most 63 of [A-Za-z0-9._:-].
	Zone string
	// Version is at most 128 bytes.
	Version string
	// Rule, MinAvailable (in percent) and Optional are how its service is to be
	// judged, of the instances of it the latest registered. The zero values
	// leave that to the coordinator, whose configuration goes before them.
	Rule         health.Rule
	MinAvailable int
	Optional     bool
	// ServerName is the name to verify in the instance's certificate; empty
	// means Address's.
	ServerName string
	// TTL is how long the coordinator waits for a sign of life: 3 s to 10 min;
	// 0 means 30 s.
	TTL time.Duration
	// Feed is the embedded server's. With it the status is pushed while the
	// coordinator cannot reach Address; nil means it is not.
	Feed *feed.Feed
	// Details pushes the texts of checks too, not only their classes.
	Details bool
}

// validate reports everything that is wrong, by field.
func (i *Instance) validate() error {
	var f faults
	f.add("Service", wire.CheckService(i.Service))
	f.add("Instance", wire.CheckInstance(i.Instance))
	f.add("Address", wire.CheckAddress(i.Address))
	f.add("HealthName", wire.CheckHealthName(i.HealthName))
	f.add("Labels", wire.CheckLabels(i.Labels))
	f.add("Zone", wire.CheckZone(i.Zone))
	f.add("Version", atMost(i.Version, wire.MaxVersion))
	f.add("ServerName", atMost(i.ServerName, wire.MaxServerName))
	f.add("TTL", i.checkTTL())
	f.add("Rule", wire.CheckRule(i.rule()))
	f.add("MinAvailable", wire.CheckMinAvailable(i.MinAvailable))
	return errors.Join(f...)
}

func atMost(text string, limit int) error {
	if len(text) > limit {
		return fmt.Errorf("has %d bytes; allowed: at most %d", len(text), limit)
	}
	return nil
}

func (i *Instance) checkTTL() error {
	_, err := wire.Between(i.ttl(), 0, wire.MinTTL, wire.MaxTTL)
	return err
}

// rule returns the rule's name, "" if none is given.
func (i *Instance) rule() string {
	if i.Rule == (health.Rule{}) {
		return ""
	}
	return i.Rule.String()
}

func (i *Instance) ttl() *durationpb.Duration {
	if i.TTL == 0 {
		return nil
	}
	return durationpb.New(i.TTL)
}

func (i *Instance) id() health.ID { return health.ID{Service: i.Service, Instance: i.Instance} }

// registration returns the instance as it travels.
func (i *Instance) registration(incarnation string) *pb.Registration {
	return &pb.Registration{
		Service: i.Service, Instance: i.Instance, Address: i.Address, HealthName: i.HealthName,
		Incarnation: incarnation, Labels: maps.Clone(i.Labels), Zone: i.Zone, Version: i.Version,
		ServerName: i.ServerName, Ttl: i.ttl(),
		Rule: i.rule(), MinAvailable: uint32(i.MinAvailable), Optional: i.Optional,
	}
}

// report returns what the instance's feed says of it now. Without an entry of
// its own it has not started.
func (i *Instance) report(now time.Time) *pb.ReportRequest {
	m := &pb.ReportRequest{Status: pb.Status_STATUS_STARTING, Cause: pb.Cause_CAUSE_STARTING}
	if e, ok := i.entry(); ok && e.Status != health.Unknown {
		m = wire.Push(wire.Health(&e.State, now, i.Details))
	}
	m.Service, m.Instance = i.Service, i.Instance
	return m
}

// entry returns the feed's entry of the name the coordinator would ask for.
func (i *Instance) entry() (*feed.Entry, bool) {
	if i.HealthName != "" {
		if e, ok := i.Feed.Get(health.ID{Service: i.HealthName}); ok {
			return e, true
		}
	}
	return i.Feed.Get(health.ID{Service: i.Service})
}

// names are the services in Feed whose changes matter.
func (i *Instance) names() []string {
	if i.HealthName == "" {
		return []string{i.Service}
	}
	return []string{i.Service, i.HealthName}
}
