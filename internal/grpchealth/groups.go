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
func pageOfGroups(cut feed.Cut, l *wire.List, rights *access.Rights) *pb.ListResponse {
	groups := countGroups(cut, l, rights)
	resp := &pb.ListResponse{Revision: revisionFor(rights, cut)}
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

// groupOf returns the value of an instance by which the request groups it. A caller without evidence may
// not learn the exact cause.
func groupOf(l *wire.List, e *feed.Entry, rights *access.Rights) string {
	if rights.Detail(access.Of(e.ID)) >= access.Evidence {
		return l.GroupBy.Of(&e.State)
	}
	s := e.State
	s.Cause = wire.PublicCause(s.Cause)
	return l.GroupBy.Of(&s)
}

// countGroups returns the numbers of instances in each group that comes after the earlier pages. It
// visits each entry of the selected services once, and makes at most one group for each instance.
func countGroups(cut feed.Cut, l *wire.List, rights *access.Rights) map[string]*health.Counts {
	groups := map[string]*health.Counts{}
	for e := range cut.Of(l.Selector.Names()...) {
		if e.ID.Aggregate() || !l.Selector.Matches(&e.State) {
			continue
		}
		value := groupOf(l, e, rights)
		if !l.First && value <= l.AfterValue || rights.Detail(access.Of(e.ID)) == access.Hidden {
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
