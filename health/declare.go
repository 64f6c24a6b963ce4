package health

// declared is how the instances of a service want it to be judged: what counts is
// said by the one of them that registered last.
type declared struct {
	by   map[string]*Spec // of those that say something
	last string
}

// later reports whether what a says goes before what b says. Of two that
// registered at once the one with the later name does.
func (d *declared) later(a, b string) bool {
	x, y := d.by[a], d.by[b]
	if y == nil || !x.RegisteredAt.Equal(y.RegisteredAt) {
		return y == nil || x.RegisteredAt.After(y.RegisteredAt)
	}
	return a > b
}

// set notes what an instance says now; nil if nothing, or if it is gone.
func (d *declared) set(instance string, spec *Spec) {
	if spec == nil || spec.Judge == nil {
		delete(d.by, instance)
	} else {
		if d.by == nil {
			d.by = map[string]*Spec{}
		}
		d.by[instance] = spec
	}
	switch {
	case d.last == instance:
		d.last = ""
		for name := range d.by {
			if d.later(name, d.last) {
				d.last = name
			}
		}
	case d.by[instance] != nil && d.later(instance, d.last):
		d.last = instance
	}
}

// policy is what counts of it.
func (d *declared) policy() ServicePolicy {
	if spec := d.by[d.last]; spec != nil {
		return *spec.Judge
	}
	return ServicePolicy{}
}

// declare takes what an instance says of its service.
func (m *Mesh) declare(dst []Change, in *instance) []Change {
	in.svc.declared.set(in.state.ID.Instance, in.spec)
	return m.rejudge(dst, in.svc)
}
