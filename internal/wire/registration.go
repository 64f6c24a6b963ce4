package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// Registration is a valid request to register one instance.
type Registration struct {
	ID   health.ID
	Spec health.Spec // all fields are set except Lease and RegisteredAt
	By   Registrant
}

// Registrant is who registers an instance, renews it or removes it. The zero value is the coordinator itself, which
// has no limits.
type Registrant struct {
	// Identity is who calls, as in the access policy. It is empty for a caller without an identity.
	Identity string
	// Peer is the address from which the caller calls. It is not valid if it is not an IP address.
	Peer netip.Addr
	// OwnOnly means that the caller may replace, renew and remove only what the same identity has registered. What was
	// registered without an identity may be replaced by everybody, and renewed and removed with its lease.
	OwnOnly bool
	// Most is the largest number of instances that the identity may have registered; 0 means no limit.
	Most int
}

// Registrations checks a Register request and returns its registrations.
func Registrations(req *pb.RegisterRequest) ([]Registration, error) {
	var v Violations
	list := req.GetRegistrations()
	if n := len(list); n == 0 || n > MaxRegistrations {
		v.Add("registrations", "has %d; allowed: 1 to %d", n, MaxRegistrations)
		return nil, v.Err()
	}
	out := make([]Registration, 0, len(list))
	seen := make(map[health.ID]int, len(list))
	for i, r := range list {
		field := fmt.Sprintf("registrations[%d]", i)
		id := health.ID{Service: r.GetService(), Instance: r.GetInstance()}
		if first, twice := seen[id]; twice {
			v.Add(field, "names the same instance as registrations[%d]", first)
		}
		seen[id] = i
		out = append(out, registration(&v, field+".", r))
	}
	return out, v.Err()
}

// OneRegistration checks a single registration and returns it.
func OneRegistration(r *pb.Registration) (Registration, error) {
	var v Violations
	out := registration(&v, "", r)
	return out, v.Err()
}

func registration(v *Violations, prefix string, r *pb.Registration) Registration {
	v.Check(prefix+"service", CheckService(r.GetService()))
	v.Check(prefix+"instance", CheckInstance(r.GetInstance()))
	v.Check(prefix+"address", CheckAddress(r.GetAddress()))
	v.Check(prefix+"health_name", CheckHealthName(r.GetHealthName()))
	v.Check(prefix+"incarnation", checkIncarnation(r))
	v.Check(prefix+"labels", CheckLabels(r.GetLabels()))
	v.Check(prefix+"zone", CheckZone(r.GetZone()))
	v.MaxLen(prefix+"version", r.GetVersion(), MaxVersion)
	v.Check(prefix+"server_name", checkServerName(r.GetServerName()))
	ttl, err := ttlOf(r)
	v.Check(prefix+"ttl", err)
	judge := judgeOf(v, prefix, r)
	v.Check(prefix+"protocol", CheckProtocol(r.GetProtocol()))
	v.Check(prefix+"region", CheckZone(r.GetRegion()))
	v.Check(prefix+"source", checkSource(r))
	protocol, _ := health.ParseProtocol(r.GetProtocol()) // any error is the same as the error of CheckProtocol above
	return Registration{
		ID: health.ID{Service: r.GetService(), Instance: r.GetInstance()},
		Spec: health.Spec{
			Address: r.GetAddress(), HealthName: r.GetHealthName(), Incarnation: r.GetIncarnation(),
			Labels: r.GetLabels(), Zone: r.GetZone(), Version: Clean(r.GetVersion()),
			ServerName: r.GetServerName(), Static: r.GetStatic(), TTL: ttl, Judge: judge,
			Key: keyOf(v, prefix, r), Proves: r.GetProves(), Protocol: protocol,
			Traffic: trafficOf(v, prefix, r), Region: r.GetRegion(), Source: r.GetSource(),
		},
	}
}

// keyOf parses a process key. The key is secret, so error texts do not contain it.
func keyOf(v *Violations, prefix string, r *pb.Registration) health.Key {
	key, err := health.KeyFrom(r.GetKey())
	v.Check(prefix+"key", err)
	if r.GetStatic() && len(r.GetKey()) > 0 {
		v.Add(prefix+"key", "is given for a static registration; allowed: none, as it is of no process")
	}
	if r.GetProves() && len(r.GetKey()) == 0 {
		v.Add(prefix+"proves", "is true without a key; allowed: true with a key, or false")
	}
	return key
}

// CheckProtocol returns an error if a text is not the name of a protocol. An empty name means the
// protocol auto.
func CheckProtocol(name string) error {
	if _, err := health.ParseProtocol(name); err != nil {
		return fmt.Errorf("%q is no protocol; allowed: %s", CleanTo(name, MaxRule), health.ProtocolNames)
	}
	return nil
}

// judgeOf parses the policy that an instance declares for its service. It returns nil if the
// registration contains no policy.
func judgeOf(v *Violations, prefix string, r *pb.Registration) *health.ServicePolicy {
	p := health.ServicePolicy{MinAvailable: int(r.GetMinAvailable()), Optional: r.GetOptional(), Critical: r.GetCritical()}
	v.Check(prefix+"rule", CheckRule(r.GetRule()))
	v.Check(prefix+"min_available", CheckMinAvailable(p.MinAvailable))
	if p.Critical && p.Optional {
		v.Add(prefix+"critical", "is true beside optional; allowed: one of them")
	}
	p.Rule, _ = health.ParseRule(r.GetRule()) // any error is the same as the error of CheckRule above, unless the rule is empty, which is allowed
	if p.Rule == (health.Rule{}) && p.MinAvailable == 0 && !p.Optional && !p.Critical {
		return nil
	}
	return &p
}

// CheckRule returns an error if a text is not the name of a rule. An empty name is allowed.
func CheckRule(name string) error {
	if _, err := health.ParseRule(name); name != "" && err != nil {
		return fmt.Errorf("%q is no rule; allowed: %s", CleanTo(name, MaxRule), health.RuleNames)
	}
	return nil
}

// CheckMinAvailable returns an error if percent is not from 0 to 100. 0 means that no percentage is
// set.
func CheckMinAvailable(percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("is %d; allowed: 1 to 100, 0 for the coordinator's", percent)
	}
	return nil
}

func checkSource(r *pb.Registration) error {
	if r.GetSource() != "" && !r.GetStatic() {
		return errors.New("is given for an instance with a lease; allowed: a source of a static registration")
	}
	return CheckSource(r.GetSource())
}

// CheckSource returns an error if a text is not the name of a program that maintains registrations.
// An empty name is allowed.
func CheckSource(name string) error {
	if name == "" {
		return nil
	}
	if len(name) > MaxSource {
		return fmt.Errorf("has %d bytes; allowed: at most %d", len(name), MaxSource)
	}
	return checkName(name, "._-", fmt.Sprintf("1 to %d of [A-Za-z0-9._-]", MaxSource))
}

// CheckHealthName returns an error if a text cannot be the service name in a health call.
func CheckHealthName(name string) error { return CheckText(name, 0, MaxName) }

func checkServerName(name string) error {
	if len(name) > MaxServerName {
		return fmt.Errorf("has %d bytes; allowed: at most %d", len(name), MaxServerName)
	}
	return checkHost(name)
}

func checkIncarnation(r *pb.Registration) error {
	n := len(r.GetIncarnation())
	switch {
	case r.GetStatic() && n > 0:
		return errors.New("is given for a static registration, which has none")
	case !r.GetStatic() && (n == 0 || n > MaxIncarnation):
		return fmt.Errorf("has %d bytes; allowed: 1 to %d, random per process", n, MaxIncarnation)
	case !plain(r.GetIncarnation()):
		return errors.New("has other characters; allowed: printable ASCII")
	}
	return nil
}

func ttlOf(r *pb.Registration) (time.Duration, error) {
	switch {
	case r.GetStatic() && r.GetTtl() != nil:
		return 0, errors.New("is given for a static registration, which has no lease")
	case r.GetStatic():
		return 0, nil
	}
	return Between(r.GetTtl(), DefaultTTL, MinTTL, MaxTTL)
}

// Between converts the duration d, or returns an error if d is not from minimum to maximum. If d is
// nil, it returns fallback.
func Between(d *durationpb.Duration, fallback, minimum, maximum time.Duration) (time.Duration, error) {
	if d == nil {
		return fallback, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, fmt.Errorf("is not a duration; allowed: %v to %v", minimum, maximum)
	}
	if v := d.AsDuration(); v >= minimum && v <= maximum {
		return v, nil
	}
	return 0, fmt.Errorf("is %v; allowed: %v to %v", d.AsDuration(), minimum, maximum)
}

// CheckLabels returns an error if there are too many labels, or if one of them is not valid.
func CheckLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return fmt.Errorf("has %d; allowed: at most %d", len(labels), MaxLabels)
	}
	for key, value := range labels {
		if err := checkLabelKey(key); err != nil {
			return err
		}
		if err := CheckText(value, 0, MaxLabelValue); err != nil {
			return fmt.Errorf("value of %q %w", key, err)
		}
	}
	return nil
}

func checkLabelKey(key string) error {
	if err := checkName(key, "._-/", ""); err != nil || len(key) > MaxLabelKey {
		return fmt.Errorf("key %q is not 1 to %d of [A-Za-z0-9._/-]", CleanTo(key, MaxLabelKey), MaxLabelKey)
	}
	return nil
}
