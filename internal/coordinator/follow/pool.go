package follow

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/meshhealth/meshhealth/health"
)

// pool holds one link (a shared connection) for each linkKey that is in use. Its methods
// may be called concurrently.
type pool struct {
	dialer dialer

	mu    sync.Mutex
	links map[linkKey]*link
}

func newPool(cfg *Config) *pool {
	return &pool{
		dialer: dialer{
			policy: cfg.Dial, network: cfg.Dial.dialFunc(cfg.Targets), options: cfg.DialOptions, identity: cfg.Identity,
			patience: cfg.patience, slots: newDialSlots(), longest: longestWaitFor(cfg.UnreachableAfter),
		},
		links: map[linkKey]*link{},
	}
}

// keyOf returns the key of the connection for an instance. All instances with the same
// address, server name and credentials share this connection. If the identity of the registrant matters, it
// must be the same too.
func (p *pool) keyOf(id health.ID, spec *health.Spec) linkKey {
	key := linkKey{address: spec.Address, serverName: spec.ServerName}
	if _, own := p.dialer.policy.Services[id.Service]; own {
		key.credentials = id.Service
	}
	host, _, _ := net.SplitHostPort(spec.Address)
	if _, err := netip.ParseAddr(host); err != nil || !p.dialer.policy.plaintext(key.credentials) {
		key.registrant, key.configured = spec.Registrant, spec.Configured
	}
	return key
}

// acquire returns the link for a key. The caller must call release once.
func (p *pool) acquire(key linkKey) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.links[key]
	if e == nil {
		e = &link{dialer: &p.dialer, key: key, turn: make(chan struct{}, 1), breaker: breaker{longest: p.dialer.longest}}
		p.links[key] = e
	}
	e.users++
	return e
}

// release says that a caller of acquire no longer uses the link. When the last user releases
// the link, the connection is closed.
func (p *pool) release(e *link) {
	if p.removeUser(e) > 0 {
		return
	}
	e.turn <- struct{}{}
	e.closeConn()
	<-e.turn
}

// removeUser decreases the number of users of the link by 1, and returns this number.
func (p *pool) removeUser(e *link) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.users--
	if e.users == 0 {
		delete(p.links, e.key)
	}
	return e.users
}

// hasOneUser reports whether a single instance uses the link.
func (p *pool) hasOneUser(e *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return e.users == 1
}

// all returns the links in use. The caller can then call their methods without the lock
// of the pool.
func (p *pool) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*link, 0, len(p.links))
	for _, e := range p.links {
		all = append(all, e)
	}
	return all
}

// breakerCounts returns the number of links in each state of the breaker. Each state
// has an entry.
func (p *pool) breakerCounts() map[string]int {
	counts := map[string]int{}
	for s := range numBreakerStates {
		counts[s.String()] = 0
	}
	for _, e := range p.all() {
		counts[e.breakerState().String()]++
	}
	return counts
}

// openAddresses returns, in order, the addresses whose breaker is open or half-open.
func (p *pool) openAddresses() (addresses []string) {
	for _, e := range p.all() {
		if e.breakerState() != stateClosed {
			addresses = append(addresses, e.key.address)
		}
	}
	slices.Sort(addresses)
	return addresses
}
