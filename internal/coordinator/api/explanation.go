package api

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/explain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// explainResponse converts an explanation of the state s. Ages are counted up to now.
func explainResponse(s *health.State, now time.Time, e *explain.Explanation) *pb.ExplainResponse {
	resp := &pb.ExplainResponse{Health: wire.Health(s, now, access.EvidenceShown), Following: followingOf(s)}
	if s.Override != nil {
		resp.Judged = wire.Status(s.Judged)
	}
	for _, sentence := range e.Sentences {
		resp.Sentences = append(resp.Sentences, wire.Clean(sentence))
	}
	for i := range e.Layers {
		resp.Layers = append(resp.Layers, layerMessage(&e.Layers[i]))
	}
	for i := range e.Evidence {
		resp.Evidence = append(resp.Evidence, evidenceMessage(&e.Evidence[i], now))
	}
	for i := range e.Chain {
		resp.Chain = append(resp.Chain, linkMessage(&e.Chain[i]))
	}
	for i := range e.Next {
		resp.Next = append(resp.Next, changeMessage(&e.Next[i], now))
	}
	return resp
}

func layerMessage(l *explain.Layer) *pb.Layer {
	return &pb.Layer{
		Name: l.Name, In: wire.Status(l.In), Out: wire.Status(l.Out), Cause: pb.Cause(l.Cause), Unconfirmed: l.Unconfirmed,
		Since: stampOf(l.Since), Detail: wire.Clean(l.Detail),
	}
}

func evidenceMessage(e *explain.Evidence, now time.Time) *pb.Evidence {
	m := &pb.Evidence{
		Source: wire.Clean(e.Source), Status: wire.Status(e.Status), Cause: pb.Cause(e.Cause), Text: wire.Clean(e.Text),
		At: stampOf(e.At), Count: uint32(max(0, e.Count)),
	}
	if !e.At.IsZero() {
		m.Age = durationpb.New(max(0, now.Sub(e.At)))
	}
	return m
}

func linkMessage(l *explain.Link) *pb.ChainLink {
	return &pb.ChainLink{
		Name: l.ID.String(), Status: wire.Status(l.Status), Cause: pb.Cause(l.Cause), Reason: wire.Clean(l.Reason),
		Since: stampOf(l.Since), FirstFailure: stampOf(l.FirstFailure), Edge: edges[l.Edge],
	}
}

var edges = map[explain.Edge]pb.Edge{
	explain.EdgeNone: pb.Edge_EDGE_UNKNOWN, explain.EdgeHard: pb.Edge_EDGE_HARD,
	explain.EdgeSoft: pb.Edge_EDGE_SOFT, explain.EdgeMember: pb.Edge_EDGE_MEMBER,
}

func changeMessage(c *explain.Change, now time.Time) *pb.NextChange {
	m := &pb.NextChange{
		To: wire.Status(c.To), Cause: pb.Cause(c.Cause), At: stampOf(c.At), If: wire.Clean(c.If), Unless: wire.Clean(c.Unless),
		Removed: c.Removed, Unconfirmed: c.Unconfirmed,
	}
	if !c.At.IsZero() {
		m.In = durationpb.New(max(0, c.At.Sub(now)))
	}
	return m
}

// stampOf converts a time. The zero time becomes nil.
func stampOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// followingOf says how the coordinator gets the status of an instance. It returns nil for an aggregate.
func followingOf(s *health.State) *pb.Following {
	if s.Spec == nil {
		return nil
	}
	f := &pb.Following{
		Via: wire.CleanTo(s.Via, wire.MaxText), Pushed: s.Pushed, Unreachable: s.Unreachable,
		Unheard: s.Unheard, Stranger: s.Stranger, Unproved: s.Unproved,
	}
	if s.Source != health.SourceNone {
		f.Protocol = s.Source.String()
	}
	return f
}
