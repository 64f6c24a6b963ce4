package client

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Instance is an instance to register. Service and Address are required.
type Instance struct {
	// Service is the name of the service: 1 to 255 characters of [A-Za-z0-9._-].
	Service string
	// Instance is the name of the instance within the service: 1 to 255 characters of
	// [A-Za-z0-9._:-]. Empty means HOSTNAME:PORT, with the port of Address. An instance
	// that registers under the same name after a restart keeps its history.
	Instance string
	// Address is the HOST:PORT at which the coordinator asks the instance for its health. The
	// host may be missing or unspecified, as in :8080 or [::]:8080. In this case the
	// coordinator uses the IP address from which this process connects to it.
	Address string
	// HealthName is the service name that the coordinator uses in health calls to the
	// instance; empty means Service.
	HealthName string
	// Labels are the labels of the instance: at most 64 pairs of a key and a value.
	Labels map[string]string
	// Zone is the name of the instance's zone: at most 63 characters of [A-Za-z0-9._:-].
	Zone string
	// Version is the version of the service, with at most 128 bytes.
	Version string
	// Rule, MinAvailable, Optional and Critical say how the status of the service is computed.
	// MinAvailable is a percentage. The values of the instance that registered last apply, and
	// the configuration of the coordinator overrides them. Zero values mean the defaults of the
	// coordinator.
	//
	// Optional means that the status of the service does not change the status of the mesh.
	// Critical means that the mesh is NOT_SERVING while the service is NOT_SERVING. Optional
	// and Critical must not both be true.
	Rule               health.Rule
	MinAvailable       int
	Optional, Critical bool
	// Protocol is the protocol by which the coordinator gets the status of the instance. The
	// configuration of the coordinator overrides it. Zero means health.ProtocolAuto.
	Protocol health.Protocol
	// ServerName is the name that the certificate of the instance must have. Empty means
	// the host of Address.
	ServerName string
	// Traffic says where the instance receives traffic, and how much. The zero value means at
	// Address, with weight 1 and without TLS. xDS clients, the resolver for gRPC and other routing
	// clients use it.
	Traffic health.Traffic
	// Region is the name of the region in which Zone is: at most 63 characters of [A-Za-z0-9._:-].
	Region string
	// TTL is how long a lease lasts without a renewal: 3 s to 10 min; 0 means 30 s.
	TTL time.Duration
	// Feed is the feed of the embedded server at Address. With a Feed, the Registration pushes
	// the status while the coordinator cannot reach Address. In addition, answers from Address
	// prove that they come from this process. Without a Feed, the Registration pushes no
	// status, and answers prove nothing.
	Feed *feed.Feed
	// ShowReasons means that pushed messages contain the texts of checks. If ShowReasons is
	// false, the messages contain only the causes.
	ShowReasons bool
}

// complete fills in the field Instance if it is empty, and checks all fields. The error has one
// line for each field that is not valid.
func (i *Instance) complete() error {
	if err := errors.Join(i.nameItself(), i.validate()); err != nil {
		return fmt.Errorf("client: Instance: %w", err)
	}
	return nil
}

// nameItself sets an empty field Instance to HOSTNAME:PORT. If Address is not valid, it does
// nothing, because validate reports this fault.
func (i *Instance) nameItself() error {
	_, port, err := net.SplitHostPort(i.Address)
	if i.Instance != "" || err != nil {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("Instance: is empty, and the hostname of this machine is unknown: %w; allowed: 1 to 255 of [A-Za-z0-9._:-]", err)
	}
	i.Instance = host + ":" + port
	return nil
}

// validate returns an error with one line for each field that is not valid.
func (i *Instance) validate() error {
	var errs fields.Errors
	errs.Add("Service", wire.CheckService(i.Service))
	if i.Instance != "" || wire.CheckAddress(i.Address) == nil { // without a valid Address there is no default name to check
		errs.Add("Instance", wire.CheckInstance(i.Instance))
	}
	errs.Add("Address", wire.CheckAddress(i.Address))
	errs.Add("HealthName", wire.CheckHealthName(i.HealthName))
	errs.Add("Labels", wire.CheckLabels(i.Labels))
	errs.Add("Zone", wire.CheckZone(i.Zone))
	errs.Add("Version", atMost(i.Version, wire.MaxVersion))
	errs.Add("ServerName", atMost(i.ServerName, wire.MaxServerName))
	errs.Add("TTL", i.checkTTL())
	errs.Add("Traffic.Address", wire.CheckTrafficAddress(i.Traffic.Address, i.Address))
	errs.Add("Traffic.Weight", wire.CheckWeight(i.Traffic.Weight))
	errs.Add("Traffic.TLSNames", wire.CheckTLSNames(i.Traffic.TLSNames))
	errs.Add("Region", wire.CheckZone(i.Region))
	errs.Add("Rule", wire.CheckRule(i.rule()))
	errs.Add("MinAvailable", wire.CheckMinAvailable(i.MinAvailable))
	errs.Add("Critical", i.checkCritical())
	errs.Add("Protocol", i.checkProtocol())
	return errs.Join()
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

func (i *Instance) checkCritical() error {
	if i.Critical && i.Optional {
		return errors.New("is true beside Optional; allowed: one of both")
	}
	return nil
}

func (i *Instance) checkProtocol() error {
	if i.Protocol > health.ProtocolCheck {
		return fmt.Errorf("is %d; allowed: ProtocolAuto, ProtocolMeshhealth, ProtocolWatch or ProtocolCheck", i.Protocol)
	}
	return nil
}

// rule returns the name of the rule. It returns an empty string if no rule is set.
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

// registration returns the message that registers the instance. The incarnation and the process
// key in it belong to the Feed. Without a Feed they belong to the Client.
func (i *Instance) registration(c *Client) *pb.Registration {
	incarnation, key := c.incarnation, c.key
	if i.Feed != nil {
		incarnation, key = incarnation+"."+strconv.FormatUint(i.Feed.Epoch(), 36), i.Feed.Key()
	}
	return &pb.Registration{
		Service: i.Service, Instance: i.Instance, Address: i.Address, HealthName: i.HealthName,
		Incarnation: incarnation, Labels: maps.Clone(i.Labels), Zone: i.Zone, Version: i.Version,
		ServerName: i.ServerName, Ttl: i.ttl(),
		Rule: i.rule(), MinAvailable: uint32(i.MinAvailable), Optional: i.Optional, Critical: i.Critical,
		Traffic: &pb.Traffic{Address: i.Traffic.Address, Weight: i.Traffic.Weight, TlsNames: slices.Clone(i.Traffic.TLSNames)},
		Region:  i.Region, Protocol: i.Protocol.String(), Key: key.Bytes(), Proves: i.Feed != nil,
	}
}

// report returns the message that pushes the present status of the instance. If the Feed has no
// entry for the instance, the status is STARTING.
func (i *Instance) report(now time.Time) *pb.ReportRequest {
	m := &pb.ReportRequest{Status: pb.Status_STATUS_STARTING, Cause: pb.Cause_CAUSE_STARTING}
	if e, ok := i.entry(); ok && e.Status != health.Unknown {
		shown := access.StatusShown
		if i.ShowReasons {
			shown = access.EvidenceShown
		}
		m = wire.Push(wire.Health(&e.State, now, shown))
	}
	m.Service, m.Instance = i.Service, i.Instance
	return m
}

// entry returns the entry of the Feed whose status the coordinator would get with a health call.
func (i *Instance) entry() (*feed.Entry, bool) {
	if i.HealthName != "" {
		if e, ok := i.Feed.Get(health.ID{Service: i.HealthName}); ok {
			return e, true
		}
	}
	return i.Feed.Get(health.ID{Service: i.Service})
}

// names returns the names in the Feed whose changes may change the status of the instance.
func (i *Instance) names() []string {
	if i.HealthName == "" {
		return []string{i.Service}
	}
	return []string{i.Service, i.HealthName}
}
