package health

import (
	"fmt"
	"slices"
	"strings"
)

// ailment is since when a service is in one, and what it comes from. What
// services depend on explains them and never changes their status.
type ailment struct {
	ill     moment // since when it is bad itself
	lacking moment // since when it is not what others can depend on
}

// ill are the statuses that need an explanation.
func (s Status) ill() bool { return s == Degraded || s == NotServing || s == Unknown }

// since returns since when something holds that now does or does not.
func (m *Mesh) since(at moment, now bool) moment {
	switch {
	case !now:
		return 0
	case at != 0:
		return at
	}
	return m.now
}

// noteAilment notes what s has become, and publishes it.
func (m *Mesh) noteAilment(dst []Change, s *service, from Status) []Change {
	t := &s.ailment
	t.ill = m.since(t.ill, s.state.Status.ill())
	t.lacking = m.since(t.lacking, s.state.Status != Serving)
	return m.change(dst, &s.state, from)
}

// rootOf returns what the trouble of s comes from: of the services it cannot do
// without, the one that failed first, or what that one's trouble comes from. One
// that fails later than RootWindow after s is no reason for it.
func (m *Mesh) rootOf(s *service) string {
	if s.ailment.ill == 0 {
		return ""
	}
	var first *service
	for _, name := range m.policy.Services[s.state.ID.Service].DependsOn {
		d := m.services[name]
		if d == nil || d.ailment.lacking == 0 || d.ailment.lacking > s.ailment.ill+moment(max(0, m.policy.RootWindow)) {
			continue
		}
		if first == nil || d.before(first) {
			first = d
		}
	}
	switch {
	case first == nil:
		return ""
	case first.state.Root != "":
		return first.state.Root
	}
	return first.state.ID.Service
}

func (s *service) before(other *service) bool {
	if s.ailment.lacking != other.ailment.lacking {
		return s.ailment.lacking < other.ailment.lacking
	}
	return s.state.ID.Service < other.state.ID.Service
}

// blame looks for the root of s anew, and of all who depend on it. Who depends
// on whom has no cycles.
func (m *Mesh) blame(dst []Change, s *service) []Change {
	if root := m.rootOf(s); root != s.state.Root {
		dst = m.affect(dst, s.state.Root, -1)
		s.state.Root = root
		dst = m.change(dst, &s.state, s.state.Status)
		dst = m.affect(dst, root, 1)
	}
	return m.blameDependents(dst, s.state.ID.Service)
}

// blameAll looks for all roots anew, those of what others depend on first, and
// publishes each once.
func (m *Mesh) blameAll(dst []Change) []Change {
	before := map[string]State{}
	done := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		s := m.services[name]
		if done[name] || s == nil {
			return
		}
		done[name] = true
		for _, on := range m.policy.Services[name].DependsOn {
			visit(on)
		}
		before[name] = s.state
		s.state.Root, s.state.Affected = m.rootOf(s), 0
	}
	names := sortedNames(m.services)
	for _, name := range names {
		visit(name)
	}
	for _, s := range m.services {
		if root := m.services[s.state.Root]; root != nil {
			root.state.Affected++
		}
	}
	for _, name := range names {
		s, was := m.services[name], before[name]
		if s.state.Root != was.Root || s.state.Affected != was.Affected {
			dst = m.change(dst, &s.state, s.state.Status)
		}
	}
	return dst
}

func (m *Mesh) blameDependents(dst []Change, name string) []Change {
	for _, dependent := range m.dependents[name] {
		if d := m.services[dependent]; d != nil && m.rootOf(d) != d.state.Root {
			dst = m.blame(dst, d)
		}
	}
	return dst
}

// affect counts how many a root is to blame for.
func (m *Mesh) affect(dst []Change, root string, n int) []Change {
	s := m.services[root]
	if s == nil {
		return dst
	}
	s.state.Affected += n
	return m.change(dst, &s.state, s.state.Status)
}

// endAilment blames a service that is gone for nothing any more.
func (m *Mesh) endAilment(dst []Change, s *service) []Change {
	dst = m.affect(dst, s.state.Root, -1)
	return m.blameDependents(dst, s.state.ID.Service)
}

// dependentsOf turns around who depends on whom.
func dependentsOf(services map[string]ServicePolicy) map[string][]string {
	dependents := map[string][]string{}
	for _, name := range sortedNames(services) {
		for _, on := range services[name].DependsOn {
			dependents[on] = append(dependents[on], name)
		}
	}
	return dependents
}

// checkDependencies returns what is wrong with who depends on whom.
func checkDependencies(services map[string]ServicePolicy) []error {
	var errs []error
	add := func(name, format string, args ...any) {
		errs = append(errs, fmt.Errorf("Services[%s].DependsOn: "+format, append([]any{name}, args...)...))
	}
	for _, name := range sortedNames(services) {
		p := services[name]
		all := slices.Concat(p.DependsOn, p.SoftDependsOn)
		for i, on := range all {
			if slices.Contains(all[:i], on) {
				add(name, "%s is there twice", on)
			}
		}
	}
	if path := DependencyCycle(services); path != nil {
		add(path[0], "goes round in a circle: %s", strings.Join(path, " -> "))
	}
	return errs
}

// DependencyCycle returns the first circle in which services cannot do without
// each other, from
// its first name to that again; nil if there is none.
func DependencyCycle(services map[string]ServicePolicy) []string {
	done := map[string]bool{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if i := slices.Index(path, name); i >= 0 {
			return append(slices.Clone(path[i:]), name)
		}
		if done[name] {
			return nil
		}
		path = append(path, name)
		for _, on := range services[name].DependsOn {
			if found := visit(on); found != nil {
				return found
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		return nil
	}
	for _, name := range sortedNames(services) {
		if found := visit(name); found != nil {
			return found
		}
	}
	return nil
}
