package wire

import (
	"fmt"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// GroupByNames describes the allowed values of ListRequest.group_by. It is used in error texts.
const GroupByNames = "service, zone, region, version, cause, label.KEY"

// groupLabel begins a value of ListRequest.group_by that names a label.
const groupLabel = "label."

// GroupBy is the content of a valid ListRequest.group_by: what the instances of one group have in
// common. The zero value means that List does not count instances.
type GroupBy struct {
	field string // service, zone, region, version, cause, or groupLabel
	label string // key of the label if field is groupLabel
}

// IsZero reports whether List lists entries instead of counting instances.
func (g GroupBy) IsZero() bool { return g.field == "" }

// Of returns the value of an instance by which List groups it. The value is empty if the instance
// has none.
func (g GroupBy) Of(s *health.State) string {
	switch g.field {
	case "service":
		return s.ID.Service
	case "cause":
		return s.Cause.String()
	}
	if s.Spec == nil {
		return ""
	}
	switch g.field {
	case "zone":
		return s.Spec.Zone
	case "region":
		return s.Spec.Region
	case "version":
		return s.Spec.Version
	}
	return s.Spec.Labels[g.label]
}

// ParseGroupBy parses the value of ListRequest.group_by. An empty text gives the zero value.
func ParseGroupBy(text string) (GroupBy, error) {
	switch text {
	case "", "service", "zone", "region", "version", "cause":
		return GroupBy{field: text}, nil
	}
	key, ok := strings.CutPrefix(text, groupLabel)
	if !ok {
		return GroupBy{}, fmt.Errorf("is %q; allowed: %s", CleanTo(text, MaxLabelKey+len(groupLabel)), GroupByNames)
	}
	if err := checkLabelKey(key); err != nil {
		return GroupBy{}, err
	}
	return GroupBy{field: groupLabel, label: key}, nil
}

// groupBy checks and parses the field group_by of a request.
func groupBy(v *Violations, req *pb.ListRequest) GroupBy {
	g, err := ParseGroupBy(req.GetGroupBy())
	v.Check("group_by", err)
	if !g.IsZero() && req.GetSelector().GetAggregatesOnly() {
		v.Add("selector.aggregates_only", "is set beside group_by, which counts instances; allowed: one of them")
	}
	return g
}

// CountsMessage converts numbers of instances to a message.
func CountsMessage(c *health.Counts) *pb.Counts { return counts(c) }
