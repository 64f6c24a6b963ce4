package xds

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routepb "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/transcript"
)

// The transcripts show the protocol without a network: requests go into the session of a stream, and
// responses come out of it, encoded and decoded.

var kindNames = map[string]kind{"CDS": clusters, "EDS": endpointSets, "LDS": listeners, "RDS": routes}

func urlOf(word string) string {
	if word == "none" {
		return ""
	}
	if k, ok := kindNames[word]; ok {
		return k.url()
	}
	return word
}

func nameOf(url string) string {
	for name, k := range kindNames {
		if k.url() == url {
			return name
		}
	}
	return url
}

// script is the server of one transcript, with its clients.
type script struct {
	server  *Server
	clients map[string]*scriptClient
	latency []time.Duration
}

type scriptClient struct {
	stream   *stream
	nonces   map[string]string // last nonce, by type URL
	versions map[string]string // version of each resource, by type URL and name
}

func newScript() *script {
	s := &script{clients: map[string]*scriptClient{}}
	s.server = New(Config{MaxNames: 12, Acknowledged: func(d time.Duration) { s.latency = append(s.latency, d) }})
	return s
}

// warmUp makes the server send, as Run does after Loaded.
func (s *Server) warmUp() {
	s.awaken(func() { s.loaded, s.read, s.catalog.settled, s.catalog.complete = true, true, true, true })
}

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/*.txt", func() func(*transcript.Line) string { return newScript().run })
}

func (s *script) run(l *transcript.Line) string {
	switch l.Verb {
	case "warm":
		s.server.warmUp()
	case "set":
		return s.set(l)
	case "connect":
		return s.connect(l)
	case "end":
		c := s.client(l)
		s.server.close(c.stream)
	case "world", "delta":
		return s.request(l)
	case "read":
		return s.read(s.client(l))
	case "status":
		return s.status()
	case "resources":
		return s.resources(l)
	default:
		panic("no such command: " + l.Verb)
	}
	return ""
}

// set changes a service: "set pay a=HEALTHY b=-" changes a, and removes b.
func (s *script) set(l *transcript.Line) string {
	service := l.Word()
	var changes []Change
	for _, name := range []string{"a", "b", "c"} {
		route, ok := l.Opt(name)
		if !ok {
			continue
		}
		c := Change{Service: service, Gone: route == "-"}
		c.Endpoint.Instance = name
		if !c.Gone {
			c.Endpoint.Route, _ = health.ParseRoute(route)
			c.Endpoint.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, name[0]}), 80)
			c.Endpoint.Zone = "z1"
		}
		if tls, ok := l.Opt("tls"); ok {
			c.Endpoint.TLSNames = []string{tls}
		}
		changes = append(changes, c)
	}
	s.server.Apply(changes)
	return ""
}

// connect opens a stream: "connect c delta plain".
func (s *script) connect(l *transcript.Line) string {
	c := &scriptClient{nonces: map[string]string{}, versions: map[string]string{}}
	name := l.Word()
	if old := s.clients[name]; old != nil {
		c.versions = old.versions
	}
	c.stream = &stream{session: &session{delta: l.Has("delta")}, news: make(chan struct{}, 1)}
	if err := s.server.open(context.Background(), c.stream); err != nil {
		return err.Error() + "\n"
	}
	node := &corepb.Node{Id: name, Cluster: "test", UserAgentName: "script"}
	if l.Has("plain") {
		node.ClientFeatures = []string{plainFeature}
	}
	if l.Has("nameless") {
		node = nil
	}
	if err := c.stream.session.introduce(node); err != nil {
		return err.Error() + "\n"
	}
	s.clients[name] = c
	return ""
}

func (s *script) client(l *transcript.Line) *scriptClient {
	name := l.Word()
	if s.clients[name] == nil {
		panic("no client " + name)
	}
	return s.clients[name]
}

// request sends a request: "world c EDS names=a,b" or "delta c EDS sub=a unsub=b init". The words ack,
// nack=REASON and nonce=N answer a response.
func (s *script) request(l *transcript.Line) string {
	c := s.client(l)
	url := urlOf(l.Word())
	nonce, _ := l.Opt("nonce")
	if l.Has("ack") {
		nonce = c.nonces[url]
	}
	var failed *statuspb.Status
	if reason := l.Text("nack"); reason != "" {
		failed, nonce = &statuspb.Status{Code: 13, Message: reason}, c.nonces[url]
	}
	req := &request{}
	if l.Verb == "world" {
		names := list(l, "names")
		req.world = &discoverypb.DiscoveryRequest{TypeUrl: url, ResourceNames: names, ResponseNonce: nonce, ErrorDetail: failed}
		req.hash = hashNames(names)
	} else {
		req.delta = &discoverypb.DeltaDiscoveryRequest{
			TypeUrl: url, ResourceNamesSubscribe: list(l, "sub"), ResourceNamesUnsubscribe: list(l, "unsub"),
			ResponseNonce: nonce, ErrorDetail: failed,
		}
		if l.Has("init") {
			req.delta.InitialResourceVersions = c.initial(url)
		}
	}
	if err := s.server.handle(c.stream, req); err != nil {
		return err.Error() + "\n"
	}
	return ""
}

func list(l *transcript.Line, key string) []string {
	text, ok := l.Opt(key)
	if !ok || text == "" {
		return nil
	}
	if count, name, ok := strings.Cut(text, "x"); ok { // 9xa means a0 to a8
		n, err := strconv.Atoi(count)
		if err == nil {
			var names []string
			for i := range n {
				names = append(names, name+strconv.Itoa(i))
			}
			return names
		}
	}
	return strings.Split(text, ",")
}

func (c *scriptClient) initial(url string) map[string]string {
	versions := map[string]string{}
	for key, version := range c.versions {
		if name, ok := strings.CutPrefix(key, url+" "); ok {
			versions[name] = version
		}
	}
	return versions
}

// read prints all responses that are due.
func (s *script) read(c *scriptClient) string {
	var out strings.Builder
	for r := s.server.next(c.stream); r != nil; r = s.server.next(c.stream) {
		c.nonces[r.url] = r.nonce
		fmt.Fprintf(&out, "%s nonce=%s\n", nameOf(r.url), r.nonce)
		for _, resource := range c.decode(r) {
			out.WriteString("  " + resource + "\n")
		}
	}
	return out.String()
}

// decode decodes a response as its client would, and returns what it says.
func (c *scriptClient) decode(r *response) []string {
	var all []string
	if !r.delta {
		m := remade(r.worldMessage(), &discoverypb.DiscoveryResponse{})
		for _, resource := range m.GetResources() {
			all = append(all, describe(resource))
		}
		return all
	}
	m := remade(r.deltaMessage(), &discoverypb.DeltaDiscoveryResponse{})
	for _, resource := range m.GetResources() {
		text := describe(resource.GetResource())
		if name, _, _ := strings.Cut(text, ":\t"); name != resource.GetName() {
			text += " under the name " + resource.GetName()
		}
		c.versions[r.url+" "+resource.GetName()] = resource.GetVersion()
		all = append(all, text)
	}
	for _, name := range m.GetRemovedResources() {
		delete(c.versions, r.url+" "+name)
		all = append(all, name+" does not exist")
	}
	return all
}

// remade encodes a message and decodes it again.
func remade[M proto.Message](m proto.Message, into M) M {
	b, err := proto.Marshal(m)
	if err == nil {
		err = proto.Unmarshal(b, into)
	}
	if err != nil {
		panic(err)
	}
	return into
}

// describe returns the name of a resource and the parts of it that differ between resources.
func describe(a *anypb.Any) string {
	m, err := a.UnmarshalNew()
	if err != nil {
		return err.Error()
	}
	switch m := m.(type) {
	case *endpointpb.ClusterLoadAssignment:
		return m.GetClusterName() + ":\t" + describeSet(m)
	case *clusterpb.Cluster:
		text := m.GetName() + ":\tendpoints " + m.GetEdsClusterConfig().GetServiceName()
		if m.GetTransportSocket() != nil {
			text += " over TLS"
		}
		return text
	case *listenerpb.Listener:
		return m.GetName() + ":\troutes " + routesOf(m)
	case *routepb.RouteConfiguration:
		return m.GetName() + ":\tcluster " + m.GetVirtualHosts()[0].GetRoutes()[0].GetRoute().GetCluster()
	}
	return fmt.Sprint(m)
}

func describeSet(m *endpointpb.ClusterLoadAssignment) string {
	var all []string
	for _, l := range m.GetEndpoints() {
		for _, e := range l.GetLbEndpoints() {
			at := e.GetEndpoint().GetAddress().GetSocketAddress()
			all = append(all, strings.TrimSuffix(fmt.Sprintf("%s %s %s",
				strings.TrimPrefix(at.GetAddress(), "10.0.0."), e.GetHealthStatus(), l.GetLocality().GetSubZone()), " "))
		}
	}
	if len(all) == 0 {
		return "empty"
	}
	return strings.Join(all, ", ")
}

// status prints the clients.
func (s *script) status() string {
	var out strings.Builder
	for _, c := range s.server.Clients(0, 100) {
		fmt.Fprintf(&out, "%s plain=%v delta=%v\n", c.GetNode(), c.GetPlain(), c.GetDelta())
		for _, sub := range c.GetSubscriptions() {
			fmt.Fprintf(&out, "  %s names=%d wildcard=%v behind=%d accepted=%d refused=%d\n",
				nameOf(sub.GetTypeUrl()), sub.GetSubscribed(), sub.GetWildcard(), sub.GetBehind(), sub.GetAcknowledged(), sub.GetRejected())
		}
		for _, r := range c.GetRejections() {
			fmt.Fprintf(&out, "  rejected %s %v: %s\n", nameOf(r.GetTypeUrl()), r.GetNames(), r.GetReason())
		}
	}
	return out.String()
}

// resources prints what a client has: the current version is new, unless the client has accepted it.
func (s *script) resources(l *transcript.Line) string {
	all, err := s.server.Resources(l.Word(), l.Has("behind"), "", "", 100)
	if err != nil {
		return err.Error() + "\n"
	}
	var out strings.Builder
	for _, r := range all {
		text := fmt.Sprintf("%s %s current", nameOf(r.GetTypeUrl()), r.GetName())
		for _, v := range []struct{ name, version string }{{"sent", r.GetSent()}, {"accepted", r.GetAcknowledged()}} {
			switch v.version {
			case "":
				text += ", none " + v.name
			case r.GetCurrent():
				text += ", " + v.name
			default:
				text += ", another " + v.name
			}
		}
		if r.GetCurrent() == "" {
			text = strings.Replace(text, "current", "absent", 1)
		}
		if r.GetRejected() != "" {
			text += ", rejected: " + r.GetRejected()
		}
		out.WriteString(text + "\n")
	}
	return out.String()
}
