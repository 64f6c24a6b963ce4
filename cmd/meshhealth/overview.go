package main

import (
	"cmp"
	"slices"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// overview says what is in trouble in the mesh, and why.
type overview struct {
	services, instances, unconfirmed int // unconfirmed counts instances

	byStatus [health.NumStatuses]int // number of services with each status
	inStatus [health.NumStatuses]int // number of instances with each status
	notWell  int                     // number of entries for which isWell is false
	trouble  int                     // number of services in trouble
	roots    []*pb.Health            // services that cause the trouble of others, the worst first
	affected int                     // number of services in trouble because of one of the roots
	others   []*pb.Health            // services in trouble without a root, and zones that are worse than the mesh
}

// overviewOf returns the overview of the entries in f.
func overviewOf(f *findings) *overview {
	o := &overview{}
	roots := map[string]bool{}
	for _, h := range f.entries {
		if h.GetAffected() > 0 && h.GetInstance() == "" && inTrouble(h) {
			roots[h.GetService()] = true
		}
	}
	for _, h := range f.entries {
		o.count(h)
		zone := isZone(h)
		switch {
		case !inTrouble(h), h.GetInstance() != "" && !zone:
		case zone:
			if h.GetService() == health.MeshName && f.mesh != nil && severity(h) > severity(f.mesh) {
				o.others = append(o.others, h)
			}
		case roots[h.GetService()]:
			o.roots = append(o.roots, h)
		case roots[h.GetRoot()]:
			o.affected++
		default:
			o.others = append(o.others, h)
		}
	}
	slices.SortStableFunc(o.others, worseFirst)
	slices.SortStableFunc(o.roots, func(a, b *pb.Health) int {
		return cmp.Or(cmp.Compare(severity(b), severity(a)), cmp.Compare(b.GetAffected(), a.GetAffected()), strings.Compare(nameOf(a), nameOf(b)))
	})
	return o
}

func (o *overview) count(h *pb.Health) {
	status, _ := health.StatusFromWire(int32(h.GetStatus()))
	if !isWell(h) {
		o.notWell++
	}
	switch {
	case h.GetInstance() == "":
		o.services++
		o.byStatus[status]++
		if status.InTrouble() {
			o.trouble++
		}
	case !isZone(h):
		o.instances++
		o.inStatus[status]++
		if h.GetUnconfirmed() {
			o.unconfirmed++
		}
	}
}

// inTrouble reports whether the status of an entry is DEGRADED, NOT_SERVING or UNKNOWN.
func inTrouble(h *pb.Health) bool {
	status, _ := health.StatusFromWire(int32(h.GetStatus()))
	return status.InTrouble()
}

// wellAltogether reports whether nothing in the mesh needs attention, so that one line suffices.
func (o *overview) wellAltogether(f *findings) bool {
	return o.services > 0 && o.notWell == 0 && isWell(f.mesh) && (f.self == nil || isWell(f.self))
}
