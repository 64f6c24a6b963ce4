package xds

import (
	"strings"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// The size of a response, in bytes and in resources, after which the next resources get a response of
// their own. Listeners and clusters with the state of the world come in one response of any size.
const (
	chunkBytes     = 64 << 10
	chunkResources = 500 // the lock of the server is held while so many resources are taken
)

// part is one resource of a response. now is the state of its service, from which a name that is not
// canonical is encoded.
type part struct {
	resource *resource
	content  *content
	now      *rendered
	before   version // what the client had before
}

// response is a response before it is encoded.
type response struct {
	delta        bool
	url, nonce   string
	versionInfo  string // for the state of the world
	certificates *Certificates
	parts        []part
	gone         []part // resources that do not exist
	size         int    // bytes of what is sent
}

func (r *response) add(res *resource, now *content, before version) {
	p := part{resource: res, content: now, before: before}
	if now == nil {
		if r.delta { // with the state of the world, nothing is sent about it
			r.gone = append(r.gone, p)
			r.size += len(res.name)
		}
		return
	}
	p.now = res.service.now
	r.parts = append(r.parts, p)
	r.size += len(now.fragment) + len(res.name)
}

// next takes the next response of a subscription. It returns nil if none is due.
func (s *subscription) next(c *catalog) *response {
	if s.resumed && !c.settled || s.holdsAll(c) {
		return nil
	}
	r := &response{delta: s.session.delta, url: s.url, certificates: &c.certificates}
	if !r.delta && s.kind.full() {
		s.takeAll(c, r)
	} else {
		s.takeSome(c, r)
	}
	if len(r.parts) == 0 && len(r.gone) == 0 && !s.answer {
		return nil
	}
	s.answer = false
	if !r.delta {
		r.versionInfo = r.version()
	}
	return r
}

// takeSome takes resources from the queue, up to the size of a response.
func (s *subscription) takeSome(c *catalog, r *response) {
	for r.size < chunkBytes && len(r.parts) < chunkResources {
		res, now, ok := s.take(c)
		if !ok {
			return
		}
		r.add(res, now, s.noteSent(c, res, now))
	}
}

// takeAll takes all resources, if one of them has changed.
func (s *subscription) takeAll(c *catalog, r *response) {
	if _, _, news := s.take(c); !news && !s.answer {
		return
	}
	s.answer = true
	for _, res := range s.sorted() {
		s.entries[res] &^= marked
		now := s.contentOf(c, res)
		r.add(res, now, s.noteSent(c, res, now))
	}
	s.queue = nil
}

// version returns a version of the whole response: a hash of those of its resources.
func (r *response) version() string {
	var all strings.Builder
	for i := range r.parts {
		all.WriteString(r.parts[i].resource.name + "=" + r.parts[i].content.version.String() + "\n")
	}
	return versionOf([]byte(all.String())).String()
}

// depart notes that a response was taken to be sent.
func (s *subscription) depart(r *response) {
	f := flight{nonce: r.nonce, number: s.session.responses}
	for _, parts := range [][]part{r.parts, r.gone} {
		for i := range parts {
			p := &parts[i]
			if p.content != nil && p.content.version == p.before {
				continue // the client gets nothing new of the resource
			}
			f.resources = append(f.resources, sentResource{p.resource, p.before})
			if p.news(s.session.since) && (f.changed.IsZero() || p.content.changed.Before(f.changed)) {
				f.changed = p.content.changed
			}
		}
	}
	s.expect(f)
	if s.kind == clusters {
		s.session.repeatEndpointSets(r)
	}
}

// news reports whether the part is a change that was published while the stream was open, to a client
// that had an earlier version.
func (p *part) news(since time.Time) bool {
	return p.content != nil && p.before > unknownVersion && p.content.changed.After(since)
}

// repeatEndpointSets sends the endpoint sets of changed clusters again. Envoy uses a changed cluster
// only after it has got the endpoint set anew.
func (s *session) repeatEndpointSets(r *response) {
	for i := range r.parts {
		p := &r.parts[i]
		if p.before <= unknownVersion || p.before == p.content.version {
			continue
		}
		name := p.resource.parsed.of(endpointSets)
		set := s.catalog.resources[endpointSets][s.rendering][name]
		for _, sub := range s.subscriptions {
			if _, is := sub.entries[set]; is && sub.kind == endpointSets {
				sub.again(set)
			}
		}
	}
}

// encoded returns the field "resources" of the message, with all parts.
func (r *response) encoded() []byte {
	if len(r.parts) == 1 {
		return r.fragment(&r.parts[0])
	}
	all := make([]byte, 0, r.size)
	for i := range r.parts {
		all = append(all, r.fragment(&r.parts[i])...)
	}
	return all
}

func (r *response) fragment(p *part) []byte {
	fragment, start := p.content.fragment, p.content.any
	if !p.resource.canonical() {
		res := p.resource
		head := head(res.kind, res.name, res.parsed, res.rendering, p.now, r.certificates)
		fragment, start = encode(res.kind, res.name, p.content.version, head, p.content.body)
	}
	if r.delta {
		return fragment
	}
	return fragment[start:]
}

// deltaMessage returns the message of a response. The resources are in its unknown fields, so that
// gRPC copies their bytes and encodes none of them again.
func (r *response) deltaMessage() *discoverypb.DeltaDiscoveryResponse {
	m := &discoverypb.DeltaDiscoveryResponse{TypeUrl: r.url, Nonce: r.nonce}
	for i := range r.gone {
		m.RemovedResources = append(m.RemovedResources, r.gone[i].resource.name)
	}
	m.ProtoReflect().SetUnknown(r.encoded())
	return m
}

// worldMessage returns the message of a response with the state of the world.
func (r *response) worldMessage() *discoverypb.DiscoveryResponse {
	m := &discoverypb.DiscoveryResponse{TypeUrl: r.url, Nonce: r.nonce, VersionInfo: r.versionInfo}
	m.ProtoReflect().SetUnknown(r.encoded())
	return m
}
