package wire

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
)

// Limits of a LearnAccess request.
const (
	MinLearn         = time.Second
	MaxLearn         = 24 * time.Hour
	MaxLearnNetworks = 1000
)

// LearnAccessRequest checks a request to observe callers, and returns its content.
func LearnAccessRequest(req *pb.LearnAccessRequest) (lasting time.Duration, networks []netip.Prefix, err error) {
	var v Violations
	lasting, err = Between(req.GetLasting(), 0, MinLearn, MaxLearn)
	if err == nil && lasting == 0 {
		err = fmt.Errorf("is missing; allowed: %v to %v", MinLearn, MaxLearn)
	}
	v.Check("lasting", err)
	if n := len(req.GetNetworks()); n > MaxLearnNetworks {
		v.Add("networks", "has %d; allowed: at most %d", n, MaxLearnNetworks)
		return 0, nil, v.Err()
	}
	for i, text := range req.GetNetworks() {
		n, err := ParseNetwork(text)
		v.Check(fmt.Sprintf("networks[%d]", i), err)
		networks = append(networks, n)
	}
	return lasting, networks, v.Err()
}

// ParseNetwork returns the network in a text such as 10.0.0.0/8.
func ParseNetwork(text string) (netip.Prefix, error) {
	n, err := netip.ParsePrefix(text)
	if err != nil || n != n.Masked() {
		return netip.Prefix{}, fmt.Errorf("is %q; allowed: a network such as 10.0.0.0/8 or fd00::/8", CleanTo(text, MaxName))
	}
	return n, nil
}

// AccessUse returns the message for an observation.
func AccessUse(o *access.Observation) *pb.AccessUse {
	m := &pb.AccessUse{
		Identity: o.Identity, Verb: o.Verb.String(), Service: o.Service,
		Peer: o.Place.Peer, Host: o.Place.Host, Port: uint32(o.Place.Port), Proven: o.Place.Proven,
	}
	if o.Detail > access.Hidden {
		m.Detail = o.Detail.String()
	}
	if o.Longest > 0 {
		m.Longest = durationpb.New(o.Longest)
	}
	if o.Place.Network.IsValid() {
		m.Network = o.Place.Network.String()
	}
	return m
}

// AccessUseFrom returns the observation in a message. It returns an error for a message that this version does not
// know. Identities, services and hosts are not checked.
func AccessUseFrom(m *pb.AccessUse) (access.Observation, error) {
	o := access.Observation{Identity: m.GetIdentity(), Service: m.GetService(), Longest: max(0, m.GetLongest().AsDuration())}
	verb := slices.IndexFunc(access.Verbs(), func(v access.Verb) bool { return v.String() == m.GetVerb() })
	if verb < 0 {
		return o, fmt.Errorf("verb: is %q; allowed: a verb of the access policy", CleanTo(m.GetVerb(), MaxName))
	}
	o.Verb = access.Verbs()[verb]
	for _, d := range access.Details() {
		if d.String() == m.GetDetail() {
			o.Detail = d
		}
	}
	if o.Verb != access.VerbRegister {
		return o, nil
	}
	if m.GetPort() == 0 || m.GetPort() > 65535 {
		return o, fmt.Errorf("port: is %d; allowed: 1 to 65535", m.GetPort())
	}
	o.Place = access.Place{Peer: m.GetPeer(), Host: m.GetHost(), Proven: m.GetProven(), Port: uint16(m.GetPort())} // #nosec G115 -- checked above
	if m.GetNetwork() != "" {
		n, err := ParseNetwork(m.GetNetwork())
		if err != nil {
			return o, fmt.Errorf("network: %w", err)
		}
		o.Place.Network = n
	}
	return o, nil
}
