package xds

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/internal/domain"
)

// Client is one open stream with its client.
type Client struct {
	Stream        uint64 // number of the stream, unique since the start of the server
	Node          Node
	Peer          string // network address
	Rendering     Rendering
	Delta         bool // false for the state of the world
	Since         time.Time
	Subscriptions []Subscription
	// Rejections are the latest rejections, the oldest first: at most 20.
	Rejections []Rejection
}

// Subscription says how far a client is with the resources of one type.
type Subscription struct {
	TypeURL string
	Names   int // number of resources
	// Wildcard means that the client asks for all resources of the type.
	Wildcard bool
	// Behind is the number of resources whose current version the client has not accepted.
	Behind int
	// Accepted and Refused are the numbers of responses that the client has accepted and rejected.
	Accepted, Refused uint64
}

// Clients returns up to limit clients whose streams have numbers above after, in the order in which
// they have connected. Streams without a first request are left out.
func (s *Server) Clients(after uint64, limit int) []Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []uint64
	for id, st := range s.streams {
		if id > after && st.session.node.ID != "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	all := make([]Client, 0, min(max(limit, 0), len(ids)))
	for _, id := range ids[:cap(all)] {
		all = append(all, s.streams[id].session.describe())
	}
	return all
}

func (s *session) describe() Client {
	c := Client{
		Stream: s.id, Node: s.node, Peer: s.peer, Rendering: s.rendering, Delta: s.delta, Since: s.since,
		Rejections: slices.Clone(s.rejections),
	}
	for _, sub := range s.subscriptions {
		c.Subscriptions = append(c.Subscriptions, Subscription{
			TypeURL: sub.url, Names: len(sub.entries), Wildcard: sub.wildcard, Behind: len(sub.behind(s.catalog)),
			Accepted: sub.accepted, Refused: sub.refused,
		})
	}
	return c
}

// Resource is one resource as a client has it. A version is empty if there is none.
type Resource struct {
	TypeURL, Name string
	// Current is the version that exists, Sent was sent last, and Acknowledged was accepted last.
	Current, Sent, Acknowledged string
	// Rejected says why the client has rejected the version that was sent. It is empty if the client
	// has not.
	Rejected string
}

// Resources returns up to limit resources of one client that come after a type and a name, in the
// order of types and names. client is the identifier of a node, if exactly one stream has it, or the
// number of a stream. If behindOnly is true, only resources whose current version the client has not
// accepted are returned. The error wraps domain.ErrNotFound.
func (s *Server) Resources(client string, behindOnly bool, afterType, afterName string, limit int) ([]Resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses, err := s.find(client)
	if err != nil {
		return nil, err
	}
	var all []Resource
	for _, sub := range ses.subscriptions {
		all = append(all, sub.list(s.catalog, behindOnly)...)
	}
	slices.SortFunc(all, compareResources)
	from, found := slices.BinarySearchFunc(all, Resource{TypeURL: afterType, Name: afterName}, compareResources)
	if found {
		from++
	}
	return all[from:min(len(all), from+max(limit, 0))], nil
}

func compareResources(a, b Resource) int {
	return cmp.Or(strings.Compare(a.TypeURL, b.TypeURL), strings.Compare(a.Name, b.Name))
}

// find returns the session of a client.
func (s *Server) find(client string) (*session, error) {
	var found []*session
	for _, st := range s.streams {
		if st.session.node.ID == client && client != "" {
			found = append(found, st.session)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		id, err := strconv.ParseUint(client, 10, 64)
		if st := s.streams[id]; err == nil && st != nil {
			return st.session, nil
		}
		return nil, fmt.Errorf("%w: no xDS client with the node %q, and no stream with this number", domain.ErrNotFound, client)
	}
	var ids []string
	slices.SortFunc(found, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	for _, ses := range found[:min(len(found), maxRejectedNames)] {
		ids = append(ids, strconv.FormatUint(ses.id, 10))
	}
	return nil, fmt.Errorf("%w: %d xDS clients have the node %q; allowed: the number of one stream: %s",
		domain.ErrNotFound, len(found), client, strings.Join(ids, ", "))
}

// list describes the resources of a subscription.
func (s *subscription) list(c *catalog, behindOnly bool) []Resource {
	var all []Resource
	behind := s.behind(c)
	for r, e := range s.entries {
		if behindOnly && !behind[r] {
			continue
		}
		resource := Resource{
			TypeURL: s.url, Name: r.name, Sent: textOf(e.sent()), Acknowledged: textOf(s.acknowledged(r)),
			Rejected: s.rejected[r].reason,
		}
		if now := s.contentOf(c, r); now != nil {
			resource.Current = now.version.String()
		}
		all = append(all, resource)
	}
	return all
}

// textOf returns a version as a client gets it. It is empty if the client has none.
func textOf(v version) string {
	if v > unknownVersion {
		return v.String()
	}
	return ""
}

// History returns up to limit of the last rejections of all clients, the newest first. The server
// keeps 1,000 of them.
func (s *Server) History(limit int) []Rejection {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := slices.Clone(s.history[max(0, len(s.history)-max(0, limit)):])
	slices.Reverse(last)
	return last
}

// Stats are numbers about a server.
type Stats struct {
	// Streams is the number of open streams, by rendering and by protocol. Index 1 of a rendering is
	// the delta protocol, and 0 is the state of the world.
	Streams [numRenderings][2]int
	// Services is the number of services. Subscribed is the number of resources for which streams ask.
	Services, Subscribed int
	// Behind is the number of resources whose current version a client has not accepted.
	Behind int
	// Responses and Rejections are counts since the start.
	Responses, Rejections uint64
}

// Stats returns numbers about the server.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := Stats{Subscribed: s.catalog.subscribed, Responses: s.sent, Rejections: s.rejections}
	for _, service := range s.catalog.services {
		if service.now != nil {
			all.Services++
		}
	}
	for _, st := range s.streams {
		ses := st.session
		protocol := 0
		if ses.delta {
			protocol = 1
		}
		all.Streams[ses.rendering][protocol]++
		for _, sub := range ses.subscriptions {
			all.Behind += len(sub.behind(s.catalog))
		}
	}
	return all
}
