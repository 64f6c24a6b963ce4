package health

import (
	"cmp"
	"slices"
)

// Dependency is a service that another service needs.
type Dependency struct {
	Service string
	Soft    bool // true if the other service also works without it, with less quality
}

// Dependencies returns DependsOn and SoftDependsOn as one new list. The services of DependsOn
// come first. Both parts are sorted by name.
func (p *ServicePolicy) Dependencies() []Dependency {
	var list []Dependency
	for _, name := range p.DependsOn {
		list = append(list, Dependency{Service: name})
	}
	for _, name := range p.SoftDependsOn {
		list = append(list, Dependency{Service: name, Soft: true})
	}
	slices.SortFunc(list, func(a, b Dependency) int {
		if a.Soft != b.Soft {
			if b.Soft {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Service, b.Service)
	})
	return list
}
