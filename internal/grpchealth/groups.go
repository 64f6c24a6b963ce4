package grpchealth

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// pageOfGroups returns one page of the groups of instances, ordered by value. It counts the
// instances that the request selects and that the caller may read. What decides about a group
// is public, so that the level of detail has no effect.
func pageOfGroups(cut feed.Cut, l *wire.List, caller access.Caller) *pb.ListResponse {
	groups := countGroups(cut, l, caller)
	resp := &pb.ListResponse{Revision: cut.Revision()}
	size := 0
	for _, value := range slices.Sorted(maps.Keys(groups)) {
		group := &pb.Group{Value: value, Counts: wire.CountsMessage(groups[value])}
		size += proto.Size(group) + 4 // 4 bytes for its tag and its length
		if n := len(resp.Groups); n == l.Size || size > wire.MaxPageBytes && n > 0 {
			resp.NextPageToken = l.GroupToken(resp.Groups[n-1].GetValue())
			break
		}
		resp.Groups = append(resp.Groups, group)
	}
	return resp
}

// countGroups returns the numbers of instances in each group that comes after the earlier pages. It
// visits each entry of the selected services once, and makes at most one group for each instance.
func countGroups(cut feed.Cut, l *wire.List, caller access.Caller) map[string]*health.Counts {
	groups := map[string]*health.Counts{}
	for e := range cut.Of(l.Selector.Names()...) {
		if e.ID.Aggregate() || !l.Selector.Matches(&e.State) {
			continue
		}
		value := l.GroupBy.Of(&e.State)
		if !l.First && value <= l.AfterValue || !caller.May(access.Read, access.Of(e.ID)) {
			continue
		}
		c := groups[value]
		if c == nil {
			c = &health.Counts{}
			groups[value] = c
		}
		c.By[e.Status]++
		if e.Unconfirmed {
			c.Unconfirmed++
		}
	}
	return groups
}
