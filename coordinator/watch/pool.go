package watch

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/health"
)

// pool holds one endpoint per place, as long as somebody uses it.
type pool struct {
	dial     func(ctx context.Context, address string) (net.Conn, error)
	byWhom   map[string]credentials.TransportCredentials
	standard credentials.TransportCredentials
	options  []grpc.DialOption
	patient  func(time.Duration) time.Duration
	slots    dialSlots
	longest  time.Duration // between two attempts

	mu     sync.Mutex
	places map[place]*endpoint
}

func newPool(cfg *Config) *pool {
	return &pool{
		dial: cfg.Dial, byWhom: cfg.ServiceCredentials, standard: cfg.Credentials,
		options: cfg.DialOptions, patient: cfg.patient, slots: newDialSlots(), longest: longestFor(cfg.UnreachableAfter),
		places: map[place]*endpoint{},
	}
}

// credentials returns those of a service that has its own, or the standard
// ones.
func (p *pool) credentials(service string) credentials.TransportCredentials {
	c := p.standard
	if service != "" {
		c = p.byWhom[service]
	}
	if c == nil {
		return insecure.NewCredentials()
	}
	return c
}

// enter returns the endpoint of an instance; leave must be called once.
func (p *pool) enter(id health.ID, spec *health.Spec) *endpoint {
	at := place{address: spec.Address, serverName: spec.ServerName}
	if _, own := p.byWhom[id.Service]; own {
		at.credentials = id.Service
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.places[at]
	if e == nil {
		e = &endpoint{pool: p, place: at, turn: make(chan struct{}, 1), breaker: breaker{longest: p.longest}}
		p.places[at] = e
	}
	e.users++
	return e
}

func (p *pool) leave(e *endpoint) {
	if !p.last(e) {
		return
	}
	e.turn <- struct{}{}
	e.drop()
	<-e.turn
}

func (p *pool) last(e *endpoint) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.users--
	if e.users == 0 {
		delete(p.places, e.place)
	}
	return e.users == 0
}
