package explain

import (
	"slices"

	"github.com/meshhealth/meshhealth/health"
)

// maxVisited is the largest number of services that the search for a path looks at.
const maxVisited = 1000

// findChain sets the way from the root of the failure to the name.
func (b *explainer) findChain() {
	s := b.s
	if !s.Status.InTrouble() || s.Override != nil || s.ID == (health.ID{}) {
		return
	}
	_, inZone := s.ID.Zone()
	var chain []Link
	switch {
	case s.ID.Service == health.MeshName:
		if service, ok := b.mostAffecting(); ok {
			chain = b.chainOfService(&service)
		}
		chain = append(chain, linkOf(s, EdgeMember))
	case s.ID.Instance == "":
		chain = b.chainOfService(s)
	default:
		if service, ok := b.input.Find(health.ID{Service: s.ID.Service}); ok && (inZone || b.visible(service.Root)) {
			chain = b.chainOfService(&service)
		}
		chain = append(chain, linkOf(s, EdgeMember))
	}
	if more := len(chain) - maxChain; more > 0 { // the root and the links next to the name are kept
		chain = slices.Delete(chain, 1, 1+more)
		chain[1].Edge = EdgeNone
	}
	chain[0].Edge = EdgeNone
	b.out.Chain = chain
}

// visible reports whether a service is named that exists and that the caller may see.
func (b *explainer) visible(service string) bool {
	if service == "" {
		return false
	}
	_, ok := b.input.Find(health.ID{Service: service})
	return ok
}

// mostAffecting returns that service of a mesh or zone which affects most others. Of equal ones it
// returns the worst.
func (b *explainer) mostAffecting() (health.State, bool) {
	var best health.State
	for i := range b.input.Members {
		m := &b.input.Members[i]
		if !m.Status.InTrouble() || m.Counts != nil && m.Counts.Optional {
			continue
		}
		service, ok := b.input.Find(health.ID{Service: m.ID.Service})
		if !ok || !service.Status.InTrouble() {
			service = *m // a service may be in trouble in one zone only
		}
		critical := func(s *health.State) bool {
			return s.Counts != nil && s.Counts.Critical && s.Status == health.NotServing
		}
		switch down, bestDown := critical(&service), critical(&best); {
		case best.ID == health.ID{}, down && !bestDown:
			best = service
		case down != bestDown:
		case service.Affected > best.Affected, service.Affected == best.Affected && Worse(&service, &best) < 0:
			best = service
		}
	}
	return best, best.ID != health.ID{}
}

// chainOfService returns the way from the root of a service to the service.
func (b *explainer) chainOfService(s *health.State) []Link {
	if _, inZone := s.ID.Zone(); inZone || !b.visible(s.Root) {
		return []Link{b.serviceLink(s, EdgeNone)}
	}
	root, _ := b.input.Find(health.ID{Service: s.Root})
	chain := []Link{b.serviceLink(&root, EdgeNone)}
	path := b.path(s.ID.Service, s.Root, false)
	if path == nil {
		path = b.path(s.ID.Service, s.Root, true)
	}
	if path == nil { // services between them are not shown, or the dependencies have changed
		return append(chain, b.serviceLink(s, EdgeNone))
	}
	for _, step := range path {
		state := *s
		if step.service != s.ID.Service {
			state, _ = b.input.Find(health.ID{Service: step.service})
		}
		chain = append(chain, b.serviceLink(&state, step.edge))
	}
	return chain
}

// step is a service, and how it is connected with the service before it on the way from the root.
type step struct {
	service string
	edge    Edge
}

// path returns the shortest way from the service root to another service, without the root. It uses
// only services that the caller may see and that are not SERVING. Soft dependencies are used only if
// soft is true. It returns nil if there is no way.
func (b *explainer) path(service, root string, soft bool) []step {
	// The search begins at service, so next has the service that depends on the key.
	next := map[string]step{service: {}}
	for queue := []string{service}; len(queue) > 0 && len(next) < maxVisited; queue = queue[1:] {
		name := queue[0]
		visit := func(on string, edge Edge) {
			if _, seen := next[on]; seen {
				return
			}
			if d, ok := b.input.Find(health.ID{Service: on}); ok && d.Status != health.Serving {
				next[on] = step{name, edge}
				queue = append(queue, on)
			}
		}
		p := b.policy(name)
		for _, on := range p.DependsOn {
			visit(on, EdgeHard)
		}
		for _, on := range p.SoftDependsOn {
			if soft {
				visit(on, EdgeSoft)
			}
		}
		if at, found := next[root]; found {
			var path []step
			for ; at.service != ""; at = next[at.service] {
				path = append(path, at)
			}
			return path
		}
	}
	return nil
}

// serviceLink returns the link of a service. A service has no reason, so the link has that of its worst
// member.
func (b *explainer) serviceLink(s *health.State, e Edge) Link {
	l := linkOf(s, e)
	_, inZone := s.ID.Zone()
	if b.input.Worst == nil || inZone || s.ID.Instance != "" {
		return l
	}
	if m, ok := b.input.Worst(s.ID.Service); ok && m.Status.InTrouble() {
		l.Cause = m.Cause
		l.Reason = joined(m.ID.String()+" is "+m.Status.String(), joined(wordsOf(m.Cause), m.Reason))
	}
	return l
}

func linkOf(s *health.State, e Edge) Link {
	return Link{ID: s.ID, Status: s.Status, Cause: s.Cause, Reason: joined(wordsOf(s.Cause), s.Reason), Since: s.Since, FirstFailure: s.FirstFailure, Edge: e}
}
