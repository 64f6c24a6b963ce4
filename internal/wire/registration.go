package wire

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// Registration is a checked request to register one instance.
type Registration struct {
	ID   health.ID
	Spec health.Spec // without Lease and RegisteredAt
}

// Registrations checks a whole request.
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

// OneRegistration checks one by itself.
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
	return Registration{
		ID: health.ID{Service: r.GetService(), Instance: r.GetInstance()},
		Spec: health.Spec{
			Address: r.GetAddress(), HealthName: r.GetHealthName(), Incarnation: r.GetIncarnation(),
			Labels: r.GetLabels(), Zone: r.GetZone(), Version: Clean(r.GetVersion()),
			ServerName: r.GetServerName(), Static: r.GetStatic(), TTL: ttl, Judge: judge,
		},
	}
}

// judgeOf reads how an instance wants its service to be judged, nil if it does
// not care.
func judgeOf(v *Violations, prefix string, r *pb.Registration) *health.ServicePolicy {
	p := health.ServicePolicy{MinAvailable: int(r.GetMinAvailable()), Optional: r.GetOptional()}
	v.Check(prefix+"rule", CheckRule(r.GetRule()))
	v.Check(prefix+"min_available", CheckMinAvailable(p.MinAvailable))
	p.Rule, _ = health.ParseRule(r.GetRule()) // none given, or told already
	if p.Rule == (health.Rule{}) && p.MinAvailable == 0 && !p.Optional {
		return nil
	}
	return &p
}

// CheckRule returns what is wrong with the name of a rule; empty is none.
func CheckRule(name string) error {
	if _, err := health.ParseRule(name); name != "" && err != nil {
		return fmt.Errorf("%q is no rule; allowed: %s", CleanTo(name, MaxRule), health.RuleNames)
	}
	return nil
}

// CheckMinAvailable returns what is wrong with a part in percent; 0 is none.
func CheckMinAvailable(percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("is %d; allowed: 1 to 100, 0 for the coordinator's", percent)
	}
	return nil
}

// CheckHealthName returns what is wrong with a name to ask an instance for.
func CheckHealthName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("has %d bytes; allowed: at most %d", len(name), MaxName)
	}
	if Clean(name) != name {
		return errors.New("has control characters in it; allowed: printable UTF-8")
	}
	return nil
}

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

// Between reads an optional duration that has bounds.
func Between(d *durationpb.Duration, absent, least, most time.Duration) (time.Duration, error) {
	if d == nil {
		return absent, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, fmt.Errorf("is not a duration; allowed: %v to %v", least, most)
	}
	if v := d.AsDuration(); v >= least && v <= most {
		return v, nil
	}
	return 0, fmt.Errorf("is %v; allowed: %v to %v", d.AsDuration(), least, most)
}

// CheckLabels returns what is wrong with labels.
func CheckLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return fmt.Errorf("has %d; allowed: at most %d", len(labels), MaxLabels)
	}
	for key, value := range labels {
		if err := checkName(key, "._-/", fmt.Sprintf("1 to %d of [A-Za-z0-9._/-]", MaxLabelKey)); err != nil || len(key) > MaxLabelKey {
			return fmt.Errorf("key %q is not 1 to %d of [A-Za-z0-9._/-]", CleanTo(key, MaxLabelKey), MaxLabelKey)
		}
		if len(value) > MaxLabelValue {
			return fmt.Errorf("value of %q has %d bytes; allowed: at most %d", key, len(value), MaxLabelValue)
		}
		if Clean(value) != value {
			return fmt.Errorf("value of %q has control characters in it; allowed: printable UTF-8", key)
		}
	}
	return nil
}
