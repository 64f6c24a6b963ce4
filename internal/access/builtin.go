package access

import (
	"net/netip"
	"slices"
	"strconv"
)

// The names of the rules of the policies that are built in.
const (
	ruleOpenLocal = "open-local"
	ruleLocalUser = "local-user"
	ruleOpen      = "insecure-open"
)

// everyService is the list of patterns that matches all services.
var everyService = []string{wildcard}

// loopback are the networks that contain the loopback addresses.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// OpenLocal is the policy of a coordinator that only its own machine can reach. Everybody may read, route,
// register and report. The users with the numbers uids, who come over the unix socket, may do everything.
// addresses are the networks in which instances may be; empty means loopback.
func OpenLocal(addresses []netip.Prefix, uids ...int) *Policy {
	if len(addresses) == 0 {
		addresses = loopback
	}
	p := &Policy{Rules: []Rule{{
		Name: ruleOpenLocal, Who: []string{anyone},
		Register: &Register{Services: everyService, Addresses: addresses, Instances: MaxInstances},
		Read:     &Read{Services: everyService, Detail: Evidence},
		Route:    &Services{everyService},
		Report:   &Services{everyService},
	}}}
	if who := unixUsers(uids); len(who) > 0 {
		p.Rules = append(p.Rules, Rule{Name: ruleLocalUser, Who: who, Override: &Override{Services: everyService}, Admin: true})
	}
	return p
}

func unixUsers(uids []int) []string {
	who := make([]string, len(uids))
	for i, uid := range uids {
		who[i] = unixPrefix + strconv.Itoa(uid)
	}
	return who
}

// Open is the policy of a coordinator in a network in which every machine is trusted: everybody may do
// everything. addresses are the networks in which instances may be; empty means the address of the caller.
func Open(addresses []netip.Prefix) *Policy {
	return &Policy{Rules: []Rule{{
		Name: ruleOpen, Who: []string{anyone},
		Register: &Register{Services: everyService, Addresses: addresses, Peer: len(addresses) == 0, Instances: MaxInstances},
		Read:     &Read{Services: everyService, Detail: Evidence},
		Route:    &Services{everyService},
		Report:   &Services{everyService},
		Override: &Override{Services: everyService},
		Admin:    true,
	}}}
}

// The rights of a caller of a server that has no policy, such as a server that is embedded in a service.
var (
	// ReadStatus allows to read all names with the detail Status.
	ReadStatus = readsWith(Status)
	// ReadEvidence allows to read all names with the detail Evidence.
	ReadEvidence = readsWith(Evidence)
)

func readsWith(d Detail) *Rights {
	r := &Rights{}
	r.add(&Rule{Name: "built-in", Who: []string{anyone}, Read: &Read{Services: everyService, Detail: d}})
	return r
}

// Loopback returns the networks that contain the loopback addresses.
func Loopback() []netip.Prefix { return slices.Clone(loopback) }
