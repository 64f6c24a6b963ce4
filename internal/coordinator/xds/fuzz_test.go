package xds

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/transcript"
)

// The oracle is a client that keeps what it receives, as the protocol says, and a table of the
// services that exist. After each step, once the client has read everything, it must have exactly what
// exists of what it asks for. A response must not repeat what the client has, unless the client has
// just asked for it.

var (
	oracleServices = []string{"a", "b", "c"}
	oracleNames    = []string{"a", "b", "c", "a:80", "none", "*"}
	oracleKinds    = []kind{clusters, endpointSets, listeners, routes}
)

type oracle struct {
	server *Server
	stream *stream
	delta  bool
	// exists has the route of the instance of each service that exists.
	exists map[string]health.Route
	kinds  map[kind]*oracleKind
	nonces map[string]string
}

// oracleKind is what the client knows of one kind of resources.
type oracleKind struct {
	begun, named, wildcard bool
	names                  map[string]bool
	has                    map[string]string // text of each resource that the client has
	versions               map[string]string
	asked                  map[string]bool // resources that the next response must contain
}

func newOracle(delta bool) *oracle {
	o := &oracle{server: New(Config{}), exists: map[string]health.Route{}}
	o.server.warmUp()
	o.kinds = map[kind]*oracleKind{}
	for _, k := range oracleKinds {
		o.kinds[k] = &oracleKind{has: map[string]string{}, versions: map[string]string{}}
	}
	o.connect(delta)
	return o
}

// connect opens a new stream. The client keeps what it has.
func (o *oracle) connect(delta bool) {
	if o.stream != nil {
		o.server.close(o.stream)
	}
	o.stream = &stream{session: &session{delta: delta}, news: make(chan struct{}, 1)}
	if err := o.server.open(context.Background(), o.stream); err != nil {
		panic(err)
	}
	o.delta, o.nonces = delta, map[string]string{}
	for _, k := range o.kinds {
		k.begun, k.named, k.wildcard, k.names, k.asked = false, false, false, map[string]bool{}, map[string]bool{}
	}
}

// step executes one command, which is three bytes.
func (o *oracle) step(a, b, c byte) error {
	k := oracleKinds[b%4]
	switch a % 8 {
	case 0, 1:
		o.set(oracleServices[b%3], health.Route(c%6))
	case 2:
		o.remove(oracleServices[b%3])
	case 3, 4, 5:
		return o.request(k, c, 0)
	case 6:
		return o.request(k, c, a>>3)
	case 7:
		o.connect(c%2 == 0)
	}
	return nil
}

func (o *oracle) set(service string, route health.Route) {
	c := Change{Service: service}
	c.Endpoint.Instance, c.Endpoint.Route = "i", route
	c.Endpoint.Address = netip.MustParseAddrPort("10.0.0.1:80")
	o.exists[service] = route
	o.server.Apply([]Change{c})
}

func (o *oracle) remove(service string) {
	c := Change{Service: service, Gone: true}
	c.Endpoint.Instance = "i"
	delete(o.exists, service)
	o.server.Apply([]Change{c})
}

// request sends a request in which each bit of names stands for a name. In the delta protocol, the bits
// of drop are names to unsubscribe from.
func (o *oracle) request(k kind, names, drop byte) error {
	chosen := func(bits byte) (all []string) {
		for i, name := range oracleNames {
			if bits&(1<<i) != 0 {
				all = append(all, name)
			}
		}
		return all
	}
	req := &request{node: &corepb.Node{Id: "n"}}
	nonce := o.nonces[k.url()]
	var failed *statuspb.Status
	if names >= 200 {
		failed = &statuspb.Status{Message: "a is bad"}
	}
	if o.delta {
		req.delta = &discoverypb.DeltaDiscoveryRequest{
			TypeUrl: k.url(), ResourceNamesSubscribe: chosen(names), ResourceNamesUnsubscribe: chosen(drop),
			ResponseNonce: nonce, ErrorDetail: failed,
		}
		o.kinds[k].expectDelta(req.delta)
	} else {
		if !k.full() { // for these kinds the protocol has no wildcard with the state of the world
			names = names&^32 | 1
		}
		req.world = &discoverypb.DiscoveryRequest{TypeUrl: k.url(), ResourceNames: chosen(names), ResponseNonce: nonce, ErrorDetail: failed}
		req.hash = hashNames(req.world.GetResourceNames())
		o.kinds[k].expectWorld(req.world)
	}
	o.kinds[k].forget(o.delta)
	return o.server.handle(o.stream, req)
}

// forget drops what the client does not ask for any more.
func (k *oracleKind) forget(delta bool) {
	for name := range k.has {
		if !k.names[name] && (!k.wildcard || !delta && strings.Contains(name, ":")) {
			delete(k.has, name)
		}
	}
	k.keepVersions()
}

// keepVersions drops the versions of what the client does not have any more.
func (k *oracleKind) keepVersions() {
	for name := range k.versions {
		if _, has := k.has[name]; !has {
			delete(k.versions, name)
		}
	}
}

func (k *oracleKind) expectDelta(req *discoverypb.DeltaDiscoveryRequest) {
	subscribe, unsubscribe := req.GetResourceNamesSubscribe(), req.GetResourceNamesUnsubscribe()
	if !k.begun {
		k.keepVersions()
		req.InitialResourceVersions = maps.Clone(k.versions)
		k.wildcard = len(subscribe) == 0 && len(unsubscribe) == 0
	}
	for _, name := range subscribe {
		if name == everything {
			k.wildcard = true
			continue
		}
		k.names[name], k.asked[name] = true, true
		if _, known := k.versions[name]; known && !k.begun {
			delete(k.asked, name)
		}
	}
	if slices.Contains(unsubscribe, everything) {
		k.wildcard = false
	}
	for _, name := range unsubscribe {
		if k.names[name] {
			k.asked[name] = k.wildcard
		}
		delete(k.names, name)
	}
	k.begun = true
}

func (k *oracleKind) expectWorld(req *discoverypb.DiscoveryRequest) {
	if !k.begun && len(k.has) > 0 {
		req.VersionInfo = "an earlier one"
	}
	names := map[string]bool{}
	for _, name := range req.GetResourceNames() {
		names[name] = true
	}
	k.named = k.named || len(names) > 0
	k.wildcard = !k.named || names[everything]
	delete(names, everything)
	for name := range names {
		if !k.names[name] {
			k.asked[name] = true
		}
	}
	k.names, k.begun = names, true
}

// wants reports whether the client asks for a resource that exists.
func (o *oracle) wants(k kind, name string) bool {
	s := o.kinds[k]
	_, exists := o.exists[strings.TrimSuffix(name, ":80")]
	return exists && s.begun && (s.names[name] || s.wildcard && !strings.Contains(name, ":") && k != listeners)
}

// read reads all responses, and checks that the client then has what it asks for.
func (o *oracle) read() error {
	for n := 0; ; n++ {
		r := o.server.next(o.stream)
		if r == nil {
			break
		}
		if n > 20 {
			return fmt.Errorf("the responses do not end")
		}
		o.nonces[r.url] = r.nonce
		if err := o.receive(kindOf(r.url), r); err != nil {
			return fmt.Errorf("%s: %w", nameOf(r.url), err)
		}
	}
	for _, k := range oracleKinds {
		if err := o.check(k); err != nil {
			return fmt.Errorf("%s: %w", nameOf(k.url()), err)
		}
	}
	return nil
}

func (o *oracle) receive(k kind, r *response) error {
	s := o.kinds[k]
	if !o.delta {
		all := map[string]string{}
		for _, resource := range remade(r.worldMessage(), &discoverypb.DiscoveryResponse{}).GetResources() {
			name, text, _ := strings.Cut(describe(resource), ":\t")
			all[name] = text
			s.versions[name] = "one of the state of the world"
		}
		if k.full() {
			clear(s.has)
		}
		maps.Copy(s.has, all)
		return nil
	}
	m := remade(r.deltaMessage(), &discoverypb.DeltaDiscoveryResponse{})
	for _, resource := range m.GetResources() {
		name := resource.GetName()
		if s.versions[name] == resource.GetVersion() && !s.asked[name] {
			return fmt.Errorf("%s is sent again", name)
		}
		_, text, _ := strings.Cut(describe(resource.GetResource()), ":\t")
		s.has[name], s.versions[name] = text, resource.GetVersion()
		delete(s.asked, name)
	}
	for _, name := range m.GetRemovedResources() {
		delete(s.has, name)
		delete(s.versions, name)
		delete(s.asked, name)
	}
	return nil
}

func (o *oracle) check(k kind) error {
	s := o.kinds[k]
	if !s.begun {
		return nil
	}
	for _, name := range oracleNames[:5] {
		text, has := s.has[name]
		switch {
		case o.wants(k, name):
			if !has {
				return fmt.Errorf("%s is missing", name)
			}
			if want := o.setOf(name); k == endpointSets && text != want {
				return fmt.Errorf("%s is %q, want %q", name, text, want)
			}
		case s.names[name] && has && k == endpointSets:
			if text != "empty" {
				return fmt.Errorf("%s does not exist and is %q, want it empty", name, text)
			}
		case !s.names[name] && has && (o.delta || k.full()):
			return fmt.Errorf("%s does not exist, and the client has it", name)
		}
		if s.asked[name] && o.delta {
			return fmt.Errorf("%s is not answered", name)
		}
	}
	return nil
}

// setOf returns the endpoint set of a service as describe prints it.
func (o *oracle) setOf(name string) string {
	route := o.exists[strings.TrimSuffix(name, ":80")]
	if status, ok := healthOf[route]; ok {
		return "1 " + status.String()
	}
	return "empty"
}

func checkOracle(data []byte) error {
	o := newOracle(len(data)%2 == 0)
	for i := 0; i+2 < len(data); i += 3 {
		if err := o.step(data[i], data[i+1], data[i+2]); err != nil {
			return fmt.Errorf("step %d: %w", i/3, err)
		}
		if data[i]&128 == 0 { // otherwise changes collect
			if err := o.read(); err != nil {
				return fmt.Errorf("after step %d: %w", i/3, err)
			}
		}
	}
	if err := o.read(); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return o.leftovers()
}

// leftovers checks that nothing stays in the catalog when the client has gone.
func (o *oracle) leftovers() error {
	o.server.close(o.stream)
	c := o.server.catalog
	n := c.subscribed + len(c.services) - len(o.exists)
	for k := range c.resources {
		for r := range c.resources[k] {
			n += len(c.resources[k][r])
		}
	}
	for k := range c.wildcards {
		for r := range c.wildcards[k] {
			n += len(c.wildcards[k][r])
		}
	}
	if n != 0 {
		return fmt.Errorf("%d things are left", n)
	}
	return nil
}

func TestOracle(t *testing.T) { transcript.Inputs(t, 18, 600, 3, 150, checkOracle) }

func FuzzRequests(f *testing.F) {
	f.Add([]byte{0, 0, 1, 3, 1, 1, 0, 0, 2})
	f.Add([]byte{0, 0, 1, 3, 1, 32, 2, 0, 0, 7, 0, 0, 3, 1, 33})
	transcript.Fuzz(f, 300, checkOracle)
}
