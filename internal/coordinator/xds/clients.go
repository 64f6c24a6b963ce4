package xds

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Clients returns up to limit clients whose streams have numbers above after, in the order in which
// they have connected. Streams without a first request are left out.
func (s *Server) Clients(after uint64, limit int) []*pb.XDSClient {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []uint64
	for id, st := range s.streams {
		if id > after && st.session.node.ID != "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	all := make([]*pb.XDSClient, 0, min(max(limit, 0), len(ids)))
	for _, id := range ids[:cap(all)] {
		all = append(all, s.streams[id].session.describe())
	}
	return all
}

func (s *session) describe() *pb.XDSClient {
	c := &pb.XDSClient{
		Stream: s.id, Node: s.node.ID, Cluster: s.node.Cluster, UserAgent: s.node.UserAgent, Peer: s.peer,
		Plain: s.rendering == Plain, Delta: s.delta, Since: timestamppb.New(s.since),
	}
	for _, sub := range s.subscriptions {
		c.Subscriptions = append(c.Subscriptions, &pb.XDSSubscription{
			TypeUrl: sub.url, Subscribed: uint32(len(sub.entries)), Wildcard: sub.wildcard,
			Behind: uint32(sub.behind(s.catalog)), Acknowledged: sub.accepted, Rejected: sub.refused,
		})
	}
	for _, r := range slices.Backward(s.rejections) {
		c.Rejections = append(c.Rejections, r.describe())
	}
	return c
}

func (r *rejection) describe() *pb.XDSRejection {
	return &pb.XDSRejection{TypeUrl: r.url, Names: r.names, Reason: r.reason, At: timestamppb.New(r.at), Node: r.node}
}

// Resources returns up to limit resources of one client that come after a type and a name, in the
// order of types and names. client is the identifier of a node, if exactly one stream has it, or the
// number of a stream. If behindOnly is true, only resources whose current version the client has not
// accepted are returned. The error wraps domain.ErrNotFound.
func (s *Server) Resources(client string, behindOnly bool, afterType, afterName string, limit int) ([]*pb.XDSResource, error) {
	all, err := s.allResources(client, behindOnly)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, compareResources)
	from, found := slices.BinarySearchFunc(all, &pb.XDSResource{TypeUrl: afterType, Name: afterName}, compareResources)
	if found {
		from++
	}
	return all[from:min(len(all), from+max(limit, 0))], nil
}

// allResources describes the resources of a client, in no order.
func (s *Server) allResources(client string, behindOnly bool) (all []*pb.XDSResource, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses, err := s.find(client)
	if err != nil {
		return nil, err
	}
	for _, sub := range ses.subscriptions {
		all = append(all, sub.list(s.catalog, behindOnly)...)
	}
	return all, nil
}

func compareResources(a, b *pb.XDSResource) int {
	return cmp.Or(strings.Compare(a.GetTypeUrl(), b.GetTypeUrl()), strings.Compare(a.GetName(), b.GetName()))
}

// AskAgain calls what Config.May returned for each stream, once for each service to which the stream
// subscribes. It does not hold the lock of the server meanwhile.
func (s *Server) AskAgain() {
	s.mu.Lock()
	ids := slices.Sorted(maps.Keys(s.streams))
	s.mu.Unlock()
	for _, id := range ids {
		may, services := s.subscribed(id)
		for service := range services {
			may(service)
		}
	}
}

// subscribed returns the services to which a stream subscribes. There are none if the stream has ended.
func (s *Server) subscribed(id uint64) (may func(string) bool, services map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[id]
	if st == nil {
		return nil, nil
	}
	services = map[string]bool{}
	for _, sub := range st.session.subscriptions {
		for r := range sub.entries {
			if r.service != nil {
				services[r.service.name] = true
			}
		}
	}
	return st.session.may, services
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
		return nil, fmt.Errorf("%w: no xDS client has the node %q, and no stream has this number", domain.ErrNotFound, wire.CleanTo(client, maxNode))
	}
	var ids []string
	slices.SortFunc(found, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	for _, ses := range found[:min(len(found), maxRejectedNames)] {
		ids = append(ids, strconv.FormatUint(ses.id, 10))
	}
	return nil, fmt.Errorf("%w: %d xDS clients have the node %q; name one by its stream: %s",
		domain.ErrNotFound, len(found), wire.CleanTo(client, maxNode), strings.Join(ids, ", "))
}

// list describes the resources of a subscription.
func (s *subscription) list(c *catalog, behindOnly bool) []*pb.XDSResource {
	var all []*pb.XDSResource
	unaccepted := s.unaccepted()
	for r, e := range s.entries {
		accepted, behind := unaccepted[r]
		if !behind {
			accepted = e.sent()
		}
		if _, due := s.due(c, r); behindOnly && !behind && !due {
			continue
		}
		resource := &pb.XDSResource{
			TypeUrl: s.url, Name: r.name, Sent: textOf(e.sent()), Acknowledged: textOf(accepted),
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
func (s *Server) History(limit int) []*pb.XDSRejection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last []*pb.XDSRejection
	for _, r := range slices.Backward(s.history[max(0, len(s.history)-max(0, limit)):]) {
		last = append(last, r.describe())
	}
	return last
}

// Stats are numbers about a server.
type Stats struct {
	// Streams is the number of open streams by their kind: the rendering and the protocol, such as
	// "plain world" or "spill-over delta". All four are present.
	Streams map[string]int
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
	all := Stats{Streams: map[string]int{}, Subscribed: s.catalog.subscribed, Responses: s.sent, Rejections: s.rejections}
	for r := range numRenderings {
		all.Streams[streamKind(r, false)], all.Streams[streamKind(r, true)] = 0, 0
	}
	for _, service := range s.catalog.services {
		if service.exists {
			all.Services++
		}
	}
	for _, st := range s.streams {
		all.Streams[streamKind(st.session.rendering, st.session.delta)]++
		for _, sub := range st.session.subscriptions {
			all.Behind += sub.behind(s.catalog)
		}
	}
	return all
}

func streamKind(r Rendering, delta bool) string {
	if delta {
		return r.String() + " delta"
	}
	return r.String() + " world"
}
