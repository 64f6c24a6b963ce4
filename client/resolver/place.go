package resolver

import (
	"github.com/meshhealth/meshhealth/internal/routing"
)

// nearPercent limits the zone preference: the traffic of a zone, in percent of what the zone would get
// without a preference. It is the same limit as for healthy instances beside degraded ones.
const nearPercent = 140

// place is where a caller is. Empty fields mean no preference.
type place struct{ region, zone string }

// The distances between a caller and an instance, the nearest first.
const (
	sameZone = iota
	sameRegion
	elsewhere
	numDistances
)

// distance returns how far an instance is from the caller. A caller without a region compares the
// names of zones only.
func (p place) distance(region, zone string) int {
	switch {
	case p.zone != "" && p.zone == zone && (p.region == "" || p.region == region):
		return sameZone
	case p.region != "" && p.region == region:
		return sameRegion
	}
	return elsewhere
}

// preferred returns for each distance the factor by which a caller there changes the weight of
// localities. The localities are a group that shares one part of the traffic, and the sum of their
// weights stays the same. No factor is above nearPercent, so no instance gets more than this,
// wherever the callers are.
func (p place) preferred(group []routing.Locality) (factors [numDistances]float64) {
	var sums [numDistances]float64
	var rest float64
	for i := range group {
		w := float64(group[i].Weight)
		sums[p.distance(group[i].Region, group[i].Zone)] += w
		rest += w
	}
	for d, sum := range sums {
		part := min(rest, sum*nearPercent/100)
		if d == elsewhere {
			part = rest
		}
		if sum > 0 {
			factors[d] = part / sum
		}
		rest -= part
	}
	return factors
}
