package access

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshhealth/meshhealth/health"
)

// Endpoint is an address that an identity wants to register.
type Endpoint struct {
	IP   netip.Addr // address of the instance; not valid for the name of a host
	Port uint16
	Peer netip.Addr // address from which the caller registers; not valid if it is not an IP address
}

// Placement says whether an instance may be at an endpoint, and on what grounds it receives traffic there.
// A greater value is better.
type Placement uint8

const (
	// NotPlaced means that no rule allows the endpoint.
	NotPlaced Placement = iota
	// PlacedIfProven means that the endpoint is allowed, and that a proof is needed before traffic: it is in one of
	// Register.ProvenAddresses, or is the name of a host whose address is not known yet.
	PlacedIfProven
	// PlacedInNetwork means that the endpoint is in one of Register.Addresses.
	PlacedInNetwork
	// PlacedAtPeer means that the endpoint has the address from which the caller registers.
	PlacedAtPeer
)

// Proof returns the proof of the endpoint that the placement is.
func (p Placement) Proof() health.EndpointProof {
	switch p {
	case PlacedAtPeer:
		return health.ProofPeer
	case PlacedInNetwork:
		return health.ProofRule
	}
	return health.ProofMissing
}

// MayRegister says whether an instance of a service may be registered at an endpoint, and returns the name of
// the best rule that allows it. The name of a host is allowed if a rule has networks. Its address must be
// checked at each dial.
func (r *Rights) MayRegister(name Name, e Endpoint) (rule string, placed Placement) {
	e.IP, e.Peer = e.IP.Unmap(), e.Peer.Unmap()
	f := finder{verb: VerbRegister, register: &e}
	r.find(&f, name)
	if f.best.rule == nil {
		return "", NotPlaced
	}
	return f.best.rule.Name, f.best.placed
}

// MayName reports whether the name of a host in a registration may have an address: whether a network of a rule for
// registrations has it. A loopback address must be in a network that has only such addresses.
func (r *Rights) MayName(ip netip.Addr) bool {
	ip = ip.Unmap()
	has := func(n netip.Prefix) bool { return n.Contains(ip) && (!ip.IsLoopback() || n.Addr().IsLoopback()) }
	return slices.ContainsFunc(r.rules, func(rule *Rule) bool {
		g := rule.Register
		return g != nil && (slices.ContainsFunc(g.Addresses, has) || slices.ContainsFunc(g.ProvenAddresses, has))
	})
}

// Endpoints describes the endpoints at which instances of a service may be registered, for an error text.
// peer is the address of the caller.
func (r *Rights) Endpoints(name Name, peer netip.Addr) string {
	f := finder{verb: VerbRegister, register: &Endpoint{}, describe: &describer{peer: peer}}
	r.find(&f, name)
	return strings.Join(f.describe.texts, "; or ")
}

// describer collects the texts of rules.
type describer struct {
	peer  netip.Addr
	texts []string
}

// maxDescribed is the number of rules, and of networks of a rule, that an error text describes.
const maxDescribed = 5

func (d *describer) add(r *Register) {
	if len(d.texts) == maxDescribed {
		return
	}
	var places []string
	if r.Peer {
		place := "the address that you call from"
		if d.peer.IsValid() {
			place += " (" + d.peer.String() + ")"
		}
		places = append(places, place)
	}
	places = appendNetworks(places, r.Addresses, "")
	places = appendNetworks(places, r.ProvenAddresses, " (proven)")
	text := strings.Join(places, ", ")
	if len(r.Ports) > 0 {
		text += ", with the ports "
		for i, p := range r.Ports {
			if i > 0 {
				text += ", "
			}
			if text += strconv.Itoa(int(p.First)); p.Last != p.First {
				text += "-" + strconv.Itoa(int(p.Last))
			}
		}
	}
	d.texts = append(d.texts, text)
}

func appendNetworks(places []string, networks []netip.Prefix, more string) []string {
	for i, n := range networks {
		if i == maxDescribed {
			return append(places, "…")
		}
		places = append(places, n.String()+more)
	}
	return places
}

// place says what a rule allows at an endpoint.
func (r *Register) place(e *Endpoint) Placement {
	if len(r.Ports) > 0 && !slices.ContainsFunc(r.Ports, func(p Ports) bool { return p.First <= e.Port && e.Port <= p.Last }) {
		return NotPlaced
	}
	has := func(n netip.Prefix) bool { return n.Contains(e.IP) }
	switch {
	case !e.IP.IsValid():
		if len(r.Addresses)+len(r.ProvenAddresses) > 0 {
			return PlacedIfProven
		}
	case r.Peer && e.IP == e.Peer:
		return PlacedAtPeer
	case slices.ContainsFunc(r.Addresses, has):
		return PlacedInNetwork
	case slices.ContainsFunc(r.ProvenAddresses, has):
		return PlacedIfProven
	}
	return NotPlaced
}
