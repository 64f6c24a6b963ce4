package wire

import (
	"fmt"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// Watch is the content of a valid WatchRequest.
type Watch struct {
	IDs       []health.ID // names of single entries, without duplicates
	Selector  Selector
	Token     Token
	HasToken  bool // true if the request has a token; if this is not valid, Token is zero
	Heartbeat time.Duration
	// FiguresEvery is the shortest time between two messages with figures. 0 means no such
	// messages.
	FiguresEvery time.Duration
	Scope        uint64
}

// WatchRequest checks a request to watch, and returns its content.
func WatchRequest(req *pb.WatchRequest) (Watch, error) {
	var v Violations
	w := Watch{IDs: watchNames(&v, req.GetNames()), Scope: Scope(req)}
	if len(req.GetNames()) > 0 && req.GetSelector() != nil {
		v.Add("selector", "is given beside names; allowed: one of them")
	}
	w.Selector = selector(&v, req.GetSelector())
	if len(w.Selector.Statuses) > 0 {
		v.Add("selector.statuses", "is given; Watch follows every status")
	}
	v.MaxLen("resume_token", req.GetResumeToken(), MaxToken)
	w.HasToken = req.GetResumeToken() != ""
	if t, ok := DecodeToken(req.GetResumeToken()); ok && t.Scope == w.Scope {
		w.Token = t
	}
	var err error
	w.Heartbeat, err = Between(req.GetHeartbeat(), DefaultHeartbeat, MinHeartbeat, MaxHeartbeat)
	v.Check("heartbeat", err)
	if req.GetFiguresEvery() != nil {
		w.FiguresEvery, err = Between(req.GetFiguresEvery(), 0, MinHeartbeat, MaxHeartbeat)
		v.Check("figures_every", err)
	}
	return w, v.Err()
}

func watchNames(v *Violations, names []string) []health.ID {
	if len(names) > MaxNames {
		v.Add("names", "has %d; allowed: at most %d", len(names), MaxNames)
		return nil
	}
	ids := make([]health.ID, 0, len(names))
	seen := make(map[health.ID]bool, len(names))
	for i, name := range names {
		id, err := ParseName(name)
		switch field := fmt.Sprintf("names[%d]", i); {
		case err != nil:
			v.Check(field, err)
		case seen[id]:
			v.Add(field, "%q is there twice", name)
		default:
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// Selector is the content of a valid pb.Selector. The zero value selects everything.
type Selector struct {
	Services       map[string]bool
	Labels         map[string]string
	Zone           string
	Statuses       map[health.Status]bool
	AggregatesOnly bool
	Source         string // name of the program that maintains the registration; empty selects all
	NoServiceZones bool   // true if the aggregates of services in zones are not selected
}

// Names returns the names of the selected services. An empty list means all services.
func (s *Selector) Names() []string {
	names := make([]string, 0, len(s.Services))
	for name := range s.Services {
		names = append(names, name)
	}
	return names
}

// Matches reports whether the selector selects the instance or aggregate with the state st.
func (s *Selector) Matches(st *health.State) bool {
	switch {
	case s.Services != nil && !s.Services[st.ID.Service]:
		return false
	case s.Statuses != nil && !s.Statuses[st.Status]:
		return false
	case st.ID.Aggregate():
		return len(s.Labels) == 0 && s.Source == "" && s.matchesZone(st.ID)
	case s.AggregatesOnly:
		return false
	}
	return s.matchesSpec(st.Spec)
}

// matchesZone reports whether the selector selects the aggregate id, as far as zones matter. If the
// selector names a zone, it selects this zone and the services in it. If it names no
// zone, it selects all aggregates. But if AggregatesOnly is true, it selects only aggregates without
// a zone. If NoServiceZones is true, it never selects a service in a zone.
func (s *Selector) matchesZone(id health.ID) bool {
	if zone, part := id.Zone(); part {
		if s.NoServiceZones && id.Service != health.MeshName {
			return false
		}
		return s.Zone == zone || s.Zone == "" && !s.AggregatesOnly
	}
	return s.Zone == ""
}

func (s *Selector) matchesSpec(spec *health.Spec) bool {
	if len(s.Labels) == 0 && s.Zone == "" && s.Source == "" {
		return true
	}
	if spec == nil || s.Zone != "" && spec.Zone != s.Zone || s.Source != "" && spec.Source != s.Source {
		return false
	}
	for key, value := range s.Labels {
		if got, ok := spec.Labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

func selector(v *Violations, p *pb.Selector) Selector {
	s := Selector{
		Labels: p.GetLabels(), Zone: p.GetZone(), AggregatesOnly: p.GetAggregatesOnly(), Source: p.GetSource(),
		NoServiceZones: p.GetNoServiceZones(),
	}
	v.Check("selector.source", CheckSource(p.GetSource()))
	v.Check("selector.labels", CheckLabels(p.GetLabels()))
	v.MaxLen("selector.zone", p.GetZone(), MaxZone)
	if len(p.GetServices()) > MaxNames {
		v.Add("selector.services", "has %d; allowed: at most %d", len(p.GetServices()), MaxNames)
		return s
	}
	for i, name := range p.GetServices() {
		if name != health.MeshName && name != "" {
			v.Check(fmt.Sprintf("selector.services[%d]", i), CheckService(name))
		}
		s.Services = put(s.Services, name)
	}
	for i, n := range p.GetStatuses() {
		status, ok := health.StatusFromWire(int32(n))
		if !ok {
			v.Add(fmt.Sprintf("selector.statuses[%d]", i), "is %d; allowed: the statuses of meshhealth.v1.Status", n)
		}
		s.Statuses = put(s.Statuses, status)
	}
	return s
}

func put[K comparable](set map[K]bool, key K) map[K]bool {
	if set == nil {
		set = map[K]bool{}
	}
	set[key] = true
	return set
}

// List is the content of a valid ListRequest.
type List struct {
	Selector Selector
	GroupBy  GroupBy
	Size     int
	After    health.ID // name after which the page begins; zero for the first page
	// AfterValue is the value of the group after which a page of groups begins. It has no meaning
	// for the first page, and the value may be empty for another one.
	AfterValue string
	First      bool
	scope      uint32
}

// Token returns the token for the page that begins after the name id.
func (l *List) Token(id health.ID) string { return pageTokenOf(l.scope, id) }

// GroupToken returns the token for the page that begins after the group with this value.
func (l *List) GroupToken(value string) string { return namePages.make(l.scope, value) }

// ListRequest checks a request for a page, and returns its content.
func ListRequest(req *pb.ListRequest) (List, error) {
	var v Violations
	l := List{Selector: selector(&v, req.GetSelector()), GroupBy: groupBy(&v, req), Size: PageSize(&v, req.GetPageSize())}
	if l.GroupBy.IsZero() {
		l.scope = PageScope(req.GetSelector())
		l.After, l.First = pageToken(&v, req.GetPageToken(), l.scope)
		return l, v.Err()
	}
	l.scope = PageScope(&pb.ListRequest{Selector: req.GetSelector(), GroupBy: req.GetGroupBy()})
	var resumed bool
	l.AfterValue, resumed = namePages.parse(&v, req.GetPageToken(), l.scope)
	l.First = !resumed
	return l, v.Err()
}

// PageSize returns the number of entries of a page. n is the number in the request; 0 means
// DefaultPage.
func PageSize(v *Violations, n int32) int {
	switch {
	case n == 0:
		return DefaultPage
	case n < 0 || n > MaxPage:
		v.Add("page_size", "is %d; allowed: 1 to %d, 0 for %d", n, MaxPage, DefaultPage)
		return DefaultPage
	}
	return int(n)
}
