package xds

import (
	"slices"
	"strconv"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// The bounds of a request and of a session.
const (
	maxNode  = 1024 // bytes of the identifier of a node, and of its cluster
	maxAgent = 128  // bytes of the name and version of a client that are kept
	maxTypes = 16   // types of resources of one stream, with those that the coordinator does not serve
)

// node says which client is on a stream.
type node struct {
	ID, Cluster string
	UserAgent   string // name and version of the client
}

// session is the state of one stream: what its client wants, has got and has accepted.
type session struct {
	catalog   *catalog
	id        uint64
	delta     bool
	peer      string
	since     time.Time
	maxNames  int // largest number of names
	may       func(service string) bool
	rendering Rendering
	node      node

	// subscriptions has one element for each type, in the order in which the types are sent.
	subscriptions []*subscription
	names         int // number of resources in all subscriptions
	nameBytes     int // bytes of their names
	inFlight      int // number of resources in all responses in flight
	responses     uint64
	rejections    []rejection // the latest, the oldest first
	awake         bool        // true if catalog.awake has the session
	ended         bool
}

// wake notes that the session may have something to send.
func (s *session) wake() {
	if !s.awake {
		s.awake = true
		s.catalog.awake = append(s.catalog.awake, s)
	}
}

// introduce takes the node from the first request.
func (s *session) introduce(n *corepb.Node) error {
	var v wire.Violations
	if n.GetId() == "" {
		v.Add("node.id", "is empty; allowed: 1 to %d bytes, in the first request of a stream", maxNode)
	}
	v.MaxLen("node.id", n.GetId(), maxNode)
	v.MaxLen("node.cluster", n.GetCluster(), maxNode)
	s.node = node{
		ID: wire.CleanTo(n.GetId(), maxNode), Cluster: wire.CleanTo(n.GetCluster(), maxNode),
		UserAgent: wire.CleanTo(agentOf(n), maxAgent),
	}
	s.rendering = renderingFor(n.GetClientFeatures())
	return v.Err()
}

func agentOf(n *corepb.Node) string {
	if v := n.GetUserAgentVersion(); v != "" {
		return n.GetUserAgentName() + "/" + v
	}
	if v := n.GetUserAgentBuildVersion().GetVersion(); v != nil {
		return n.GetUserAgentName() + "/" + strconv.Itoa(int(v.GetMajorNumber())) + "." +
			strconv.Itoa(int(v.GetMinorNumber())) + "." + strconv.Itoa(int(v.GetPatch()))
	}
	return n.GetUserAgentName()
}

// subscriptionTo returns the subscription to a type, and whether this is the first request for it.
func (s *session) subscriptionTo(url string) (sub *subscription, first bool, err error) {
	var v wire.Violations
	for _, sub := range s.subscriptions {
		if sub.url == url {
			return sub, false, nil
		}
	}
	v.Check("type_url", wire.CheckText(url, 1, maxResourceName))
	if len(s.subscriptions) == maxTypes {
		v.Add("type_url", "is the type number %d of this stream; allowed: at most %d", maxTypes+1, maxTypes)
	}
	if err := v.Err(); err != nil {
		return nil, false, err
	}
	sub = newSubscription(s, url)
	s.subscriptions = append(s.subscriptions, sub)
	slices.SortStableFunc(s.subscriptions, func(a, b *subscription) int { return int(a.kind) - int(b.kind) })
	return sub, true, nil
}

// checkNames checks the names in one field of a request.
func (s *session) checkNames(field string, names []string) error {
	var v wire.Violations
	if len(names) > s.maxNames {
		v.Add(field, "has %d names; allowed: at most %d on one stream", len(names), s.maxNames)
		return v.Err()
	}
	for i, name := range names {
		if err := wire.CheckText(name, 0, maxResourceName); err != nil {
			v.Check(field+"["+strconv.Itoa(i)+"]", err)
		}
	}
	return v.Err()
}

// checkTotal refuses a request after which the stream has too many names.
func (s *session) checkTotal(field string) error {
	var v wire.Violations
	if s.names > s.maxNames {
		v.Add(field, "leads to %d names on this stream; allowed: at most %d", s.names, s.maxNames)
	}
	if s.nameBytes > maxNameBytes {
		v.Add(field, "leads to names of %d bytes on this stream; allowed: at most %d", s.nameBytes, maxNameBytes)
	}
	return v.Err()
}

// reasonOf returns the text of a rejection. It is empty if the request rejects nothing.
func reasonOf(e *statuspb.Status) string {
	switch {
	case e == nil:
		return ""
	case e.GetMessage() == "":
		return "the client gave no reason"
	}
	return e.GetMessage()
}

// keep keeps the rejection in a verdict.
func (s *session) keep(v verdict) verdict {
	if v.rejection != nil {
		if n := len(s.rejections); n > 0 {
			last := &s.rejections[n-1]
			v.repeated = last.url == v.rejection.url && last.reason == v.rejection.reason
		}
		if len(s.rejections) == maxRejections {
			s.rejections = slices.Delete(s.rejections, 0, 1)
		}
		s.rejections = append(s.rejections, *v.rejection)
	}
	return v
}

// next takes the next response that is due. It returns nil if there is none.
func (s *session) next() *response {
	for _, sub := range s.subscriptions {
		if r := sub.next(s.catalog); r != nil {
			s.responses++
			r.nonce = strconv.FormatUint(s.responses, 10)
			sub.nonce = r.nonce
			sub.depart(r)
			return r
		}
	}
	return nil
}

// end removes the session from the catalog.
func (s *session) end() {
	for _, sub := range s.subscriptions {
		sub.end(s.catalog)
	}
	s.subscriptions, s.ended = nil, true
}
