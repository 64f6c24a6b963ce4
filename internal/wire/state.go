package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
)

// Health converts a state to a message for a caller that sees what shown says. The parameter at is the
// time of the message, up to which its ages are counted.
func Health(s *health.State, at time.Time, shown access.Shown) *pb.Health {
	reasons := shown.Detail >= access.Reason
	h := &pb.Health{
		Affected: clamp(s.Affected),
		Service:  s.ID.Service, Instance: s.ID.Instance,
		Status: Status(s.Status), Cause: pb.Cause(s.Cause), Reason: s.Reason,
		Unconfirmed: s.Unconfirmed, Root: s.Root, NextCause: pb.Cause(s.NextCause),
		Removed: s.Removed, Revision: s.Revision,
		Route: pb.Route(s.Route.Wire()), RouteKept: s.RouteKept, Endpoint: endpointText(s.Endpoint),
		EndpointProof: pb.EndpointProof(s.Proof.Wire()),
		Since:         stamp(s.Since), Age: age(at, s.Since), At: stamp(at),
		NextAt: stamp(s.NextAt), FirstFailure: stamp(s.FirstFailure),
		Counts: counts(s.Counts), Metrics: Metrics(s.Metrics),
		Checks: checks(s.Checks, at, reasons), Override: Override(s.Override, reasons),
		Dependencies: dependencies(s.Dependencies),
	}
	spec(h, s.Spec)
	if !shown.Routes {
		h.Endpoint, h.EndpointProof = "", 0
		if h.Traffic != nil {
			h.Traffic.Address = ""
		}
	}
	if shown.Detail < access.Evidence {
		h.Address = ""
		h.Cause, h.NextCause = pb.Cause(PublicCause(s.Cause)), pb.Cause(PublicCause(s.NextCause))
		// The reason for such a cause says what happened on the way to an address.
		if !reasons || PublicCause(s.Cause) != s.Cause {
			h.Reason = publicReason(s)
		}
	}
	if s.Counts != nil {
		h.Reason = countsReason(s.Counts)
	}
	return h
}

// PublicCause returns the cause that a caller without evidence sees. It is the same for all causes that
// say how an instance could not be asked. With them, a caller that registers addresses could find out
// which ports are open.
func PublicCause(c health.Cause) health.Cause {
	switch c {
	case health.CauseRefused, health.CauseTLS, health.CauseUnauthenticated, health.CauseUnimplemented,
		health.CauseUnknownName, health.CauseQuota, health.CauseMalformed:
		return health.CauseUnreachable
	}
	return c
}

// Filter removes from h what depends on names that a caller may not read. visible reports whether the
// caller may read a service. Numbers that count names or changes of others are removed. The root is
// removed too, also if it may be read: which service is the root depends on all dependencies, of which some
// may be hidden.
func Filter(h *pb.Health, visible func(service string) bool) {
	h.Revision, h.Affected, h.Root = 0, 0, ""
	h.Dependencies = slices.DeleteFunc(h.GetDependencies(), func(d *pb.Dependency) bool { return !visible(d.GetService()) })
}

// Status returns the proto enum value of a status.
func Status(s health.Status) pb.Status { return pb.Status(s.Wire()) }

func spec(h *pb.Health, s *health.Spec) {
	if s == nil {
		return
	}
	h.Address, h.Labels, h.Zone = s.Address, s.Labels, s.Zone
	h.Version, h.Incarnation, h.Static = s.Version, publishedIncarnation(s), s.Static
	h.Traffic, h.Region, h.Source = TrafficMessage(&s.Traffic), s.Region, s.Source
}

func checks(list []health.CheckState, at time.Time, full bool) []*pb.CheckHealth {
	if len(list) == 0 {
		return nil
	}
	out := make([]*pb.CheckHealth, len(list))
	for i := range list {
		out[i] = check(&list[i], at, full)
	}
	return out
}

func check(c *health.CheckState, at time.Time, full bool) *pb.CheckHealth {
	p := &pb.CheckHealth{
		Name: c.Name, Status: Status(c.Status), Cause: pb.Cause(c.Cause),
		LastRunAge: age(at, c.LastRun), ResponseTime: durationpb.New(c.ResponseTime),
		Passes: clamp(c.Passes), Fails: clamp(c.Fails), Runs: c.Runs, Failures: c.Failures,
	}
	if full {
		p.Reason = c.Reason
	}
	if c.HasValue {
		value := c.Value
		p.ObservedValue, p.ObservedUnit = &value, c.Unit
	}
	return p
}

// publicReason returns a reason that contains the names of checks and their causes. It omits the texts
// that the checks have returned.
func publicReason(s *health.State) string {
	var parts []string
	for i := range s.Checks {
		if c := &s.Checks[i]; c.Status != health.Serving {
			parts = append(parts, c.Name+": "+c.Cause.String())
		}
	}
	return CleanTo(strings.Join(parts, ", "), MaxText)
}

// countsReason returns counts and their rule in words, such as "2 of 4 routable, 2 NOT_SERVING
// (at-least-3)".
func countsReason(c *health.Counts) string {
	if c.Total() == 0 {
		return ""
	}
	routable := c.Of(health.Serving) + c.Of(health.Degraded)
	var b strings.Builder
	b.WriteString(strconv.Itoa(routable) + " of " + strconv.Itoa(c.Total()) + " routable")
	for _, s := range health.Statuses() {
		if n := c.Of(s); n > 0 && s != health.Serving {
			b.WriteString(", " + strconv.Itoa(n) + " " + s.String())
		}
	}
	if c.Rule != (health.Rule{}) && c.Rule != health.Available {
		b.WriteString(" (" + c.Rule.String() + ")")
	}
	if c.Unheard > 0 {
		fmt.Fprintf(&b, "; %d never heard of", c.Unheard)
	}
	if c.CriticalDown > 0 {
		fmt.Fprintf(&b, "; %d critical NOT_SERVING", c.CriticalDown)
	}
	if c.Routable < c.Need {
		fmt.Fprintf(&b, "; %d of %d normal services routable, %d must be", c.Routable, c.Normal, c.Need)
	}
	return b.String()
}

func dependencies(list []health.Dependency) []*pb.Dependency {
	if len(list) == 0 {
		return nil
	}
	out := make([]*pb.Dependency, len(list))
	for i, d := range list {
		out[i] = &pb.Dependency{Service: d.Service, Soft: d.Soft}
	}
	return out
}

func counts(c *health.Counts) *pb.Counts {
	if c == nil {
		return nil
	}
	return &pb.Counts{
		Serving: clamp(c.Of(health.Serving)), Degraded: clamp(c.Of(health.Degraded)),
		NotServing: clamp(c.Of(health.NotServing)), Unknown: clamp(c.Of(health.Unknown)),
		Starting: clamp(c.Of(health.Starting)), Draining: clamp(c.Of(health.Draining)),
		Maintenance: clamp(c.Of(health.Maintenance)),
		Counted:     clamp(c.Counted), Unconfirmed: clamp(c.Unconfirmed),
	}
}

// Metrics converts metrics to a message. It returns nil for nil.
func Metrics(m *health.Metrics) *pb.Metrics {
	if m == nil {
		return nil
	}
	return &pb.Metrics{
		Runs: m.Runs, Failures: m.Failures, Gauges: m.Gauges,
		ResponseTimeP50: durationpb.New(m.ResponseTimeP50), ResponseTimeP99: durationpb.New(m.ResponseTimeP99),
	}
}

// Override converts an override to a message. If full is false, the message contains neither the
// author nor the reason.
func Override(o *health.Override, full bool) *pb.Override {
	if o == nil {
		return nil
	}
	p := &pb.Override{Status: Status(o.Status), SetAt: stamp(o.SetAt), ExpiresAt: stamp(o.ExpiresAt), Scope: o.Scope.String()}
	if full {
		p.Author, p.Reason = o.Author, o.Reason
	}
	return p
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func age(at, since time.Time) *durationpb.Duration {
	if since.IsZero() {
		return nil
	}
	return durationpb.New(max(0, at.Sub(since)))
}

func clamp(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }

// publishedIncarnation returns a value that differs between two processes with the same name. This
// is the incarnation if the process has a key. Otherwise it is a digest, because a caller that knew
// the incarnation could act as the process.
func publishedIncarnation(s *health.Spec) string {
	if !s.Key.IsZero() || s.Incarnation == "" {
		return s.Incarnation
	}
	sum := sha256.Sum256([]byte(s.Incarnation))
	return hex.EncodeToString(sum[:16])
}
