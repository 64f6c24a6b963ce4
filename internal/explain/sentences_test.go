package explain

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

func TestSentences(t *testing.T) {
	now := transcript.T0.Add(time.Hour)
	spec := &health.Spec{Address: "10.0.0.1:9000"}
	db := health.State{ID: health.ID{Service: "db"}, Status: health.NotServing, Since: now.Add(-3 * time.Minute), Counts: &health.Counts{}, Affected: 2}
	states := map[health.ID]health.State{
		db.ID:            db,
		{Service: "cdn"}: {Status: health.Degraded},
		{Service: "pay"}: {ID: health.ID{Service: "pay"}, Root: "db"},
	}
	for name, c := range map[string]struct {
		state   health.State
		policy  health.ServicePolicy
		members []health.State
		want    string
	}{
		"well": {
			state: health.State{
				ID: health.ID{Service: "pay", Instance: "a"}, Status: health.Serving, Cause: health.CauseOK, Since: now.Add(-90 * time.Second), Spec: spec, Source: health.SourceMeshhealth,
				Route: health.RouteHealthy, Endpoint: netip.MustParseAddrPort("10.0.0.1:9000"),
			},
			want: `pay/a is SERVING for 1m30s.
The coordinator follows it at 10.0.0.1:9000, by meshhealth-watch.`,
		},
		"kept by the panic threshold": {
			state: health.State{
				ID: health.ID{Service: "pay", Instance: "a"}, Status: health.NotServing, Cause: health.CauseUnreachable, Since: now, Spec: spec, Source: health.SourceMeshhealth,
				Route: health.RouteHealthy, RouteKept: true, Endpoint: netip.MustParseAddrPort("10.0.0.1:9000"),
			},
			want: `pay/a is NOT_SERVING for 0s: it could not be reached for too long.
The coordinator follows it at 10.0.0.1:9000, by meshhealth-watch.
Routing clients see it as HEALTHY: it cannot be reached, but without it less than half of the endpoints of its service would remain.
The root of the failure of its service is db.`,
		},
		"at the endpoint of another one": {
			state: health.State{
				ID: health.ID{Service: "pay", Instance: "a"}, Status: health.Serving, Since: now, Spec: spec, Source: health.SourceMeshhealth,
				Route: health.RouteDuplicate, Endpoint: netip.MustParseAddrPort("10.0.0.1:9000"),
			},
			want: `pay/a is SERVING for 0s.
The coordinator follows it at 10.0.0.1:9000, by meshhealth-watch.
Routing clients see it as DUPLICATE: another instance of its service has the endpoint 10.0.0.1:9000.`,
		},
		"a check fails": {
			state: health.State{
				ID: health.ID{Service: "pay", Instance: "a"}, Status: health.NotServing, Cause: health.CauseTimeout, Since: now.Add(-time.Minute), FirstFailure: now.Add(-2 * time.Minute), Spec: spec, Source: health.SourceMeshhealth,
				Checks: []health.CheckState{{Name: "db", Status: health.NotServing, Cause: health.CauseTimeout, Reason: "2s", Fails: 3}, {Name: "disk", Status: health.Serving}},
			},
			want: `pay/a is NOT_SERVING for 1m: a check did not answer in time.
The failure began 2m ago.
Its check db is NOT_SERVING: a check did not answer in time: 2s (3 times in a row).
The coordinator follows it at 10.0.0.1:9000, by meshhealth-watch.
The root of the failure of its service is db.`,
		},
		"forced": {
			state: health.State{
				ID: health.ID{Service: "pay", Instance: "a"}, Status: health.Maintenance, Cause: health.CauseMaintenance, Reason: "disks", Since: now.Add(-time.Second), Judged: health.Serving, Spec: spec, Pushed: true,
				Override: &health.Override{Scope: health.Scope{Zone: "eu-1"}, Author: "ann", Reason: "disks", SetAt: now.Add(-time.Second), ExpiresAt: now.Add(2 * time.Hour)},
			},
			want: `pay/a is MAINTENANCE for 1s.
ann forced this status 1s ago, for the scope zone=eu-1: disks.
Without the override it would be SERVING.
The override ends in 2h.
It pushes its status, because the coordinator cannot reach it at 10.0.0.1:9000.`,
		},
		"unconfirmed": {
			state: health.State{
				ID: health.ID{Service: "shop", Instance: "a"}, Status: health.Serving, Cause: health.CauseOK, Reason: "no route to host", Since: now.Add(-26 * time.Hour), Unconfirmed: true, Spec: spec, Source: health.SourceWatch,
				NextAt: now.Add(12 * time.Second), NextCause: health.CauseUnreachable,
			},
			want: `shop/a is SERVING for 26h: no route to host.
This is the last known status; it cannot be confirmed now.
The coordinator follows it at 10.0.0.1:9000, by grpc-watch.
In 12s it becomes NOT_SERVING (unreachable), unless it answers.`,
		},
		"flapping": {
			state: health.State{ID: health.ID{Service: "shop", Instance: "a"}, Status: health.NotServing, Cause: health.CauseFlapping, Since: now, Spec: spec, Unreachable: true, NextAt: now.Add(time.Minute), NextCause: health.CauseFlapping},
			want: `shop/a is NOT_SERVING for 0s: its status changes too often, so its worst status is kept until it is quiet.
The coordinator cannot reach it at 10.0.0.1:9000, but its client renews the lease, so it is alive.`,
		},
		"a service and its root": {
			state:   health.State{ID: health.ID{Service: "pay"}, Status: health.Degraded, Cause: health.CauseWarned, Since: now, Root: "db", Counts: &health.Counts{By: [health.NumStatuses]int{health.Serving: 1, health.NotServing: 1, health.Starting: 7}, Counted: 2, Rule: health.AtLeast(2)}},
			policy:  health.ServicePolicy{DependsOn: []string{"db", "queue"}, SoftDependsOn: []string{"cdn"}},
			members: append(many(7), health.State{ID: health.ID{Service: "pay", Instance: "b"}, Status: health.NotServing, Cause: health.CauseRefused}, health.State{ID: health.ID{Service: "pay", Instance: "a"}, Status: health.Serving}),
			want: `pay is DEGRADED for 0s.
Its status follows from the rule at-least-2.
Of 9, 7 do not count: they are new, leaving, in maintenance, or were never heard.
NOT_SERVING: pay/b (refused).
STARTING: pay/s0, pay/s1, pay/s2, pay/s3, pay/s4, and 2 more.
The root of the failure is db, which is NOT_SERVING for 3m.
It depends on queue, which has no registered instance.
It depends softly on cdn, which is DEGRADED.`,
		},
		"never heard of": {
			state: health.State{ID: health.ID{Service: "pay", Instance: "b"}, Status: health.Starting, Cause: health.CauseStarting, Since: now.Add(-time.Hour), Spec: spec, Unheard: true, Unreachable: true},
			want: `pay/b is STARTING for 1h: there is no evidence yet.
No status was received from it since it registered; its address is 10.0.0.1:9000.
The coordinator cannot reach it at 10.0.0.1:9000, but its client renews the lease, so it is alive.`,
		},
		"a service with some that were never heard of": {
			state: health.State{ID: health.ID{Service: "shop"}, Status: health.Degraded, Cause: health.CauseWarned, Since: now, Counts: &health.Counts{By: [health.NumStatuses]int{health.Serving: 1, health.NotServing: 2, health.Maintenance: 1}, Counted: 1, Unheard: 2}},
			members: []health.State{
				{ID: health.ID{Service: "shop", Instance: "a"}, Status: health.Serving},
				{ID: health.ID{Service: "shop", Instance: "b"}, Status: health.NotServing, Cause: health.CauseRefused, Unheard: true},
				{ID: health.ID{Service: "shop", Instance: "c"}, Status: health.NotServing, Cause: health.CauseUnreachable, Unheard: true},
				{ID: health.ID{Service: "shop", Instance: "d"}, Status: health.Maintenance, Unheard: true},
			},
			want: `shop is DEGRADED for 0s.
Of 4, 3 do not count: they are new, leaving, in maintenance, or were never heard.
It is at best DEGRADED, because no status was received from these since they registered: shop/b (refused), shop/c (unreachable).
NOT_SERVING: shop/b (refused), shop/c (unreachable).
MAINTENANCE: shop/d.`,
		},
		"a root": {state: db, want: "db is NOT_SERVING for 3m.\nIt is the root of the failure of 2 services."},
		"a mesh without a critical service": {
			state: health.State{
				ID: health.ID{Service: health.MeshName}, Status: health.Unknown, Since: now,
				Counts: &health.Counts{By: [health.NumStatuses]int{health.Serving: 1, health.Unknown: 2, health.Starting: 1}, Counted: 3, Rule: health.Available, Normal: 3, Routable: 1, Need: 2},
			},
			members: []health.State{{ID: health.ID{Service: "pay"}, Status: health.Starting, Counts: &health.Counts{}}},
			want: `The mesh is UNKNOWN for 0s.
Of 4, 1 do not count: they are optional, starting, leaving, or in maintenance.
Of the normal services that count (3), 1 are routable; at least 2 must be.
STARTING: pay.`,
		},
		"a zone with critical services": {
			state: health.State{ID: health.ZoneID(health.MeshName, "eu-1"), Status: health.Serving, Since: now, Counts: &health.Counts{By: [health.NumStatuses]int{health.Serving: 3}, Counted: 3, Rule: health.Available, Normal: 1, Routable: 1, Need: 1}},
			members: []health.State{
				{ID: health.ZoneID("db", "eu-1"), Status: health.Serving, Counts: &health.Counts{Critical: true}},
				{ID: health.ZoneID("auth", "eu-1"), Status: health.Serving, Counts: &health.Counts{Critical: true}},
				{ID: health.ZoneID("pay", "eu-1"), Status: health.Serving, Counts: &health.Counts{}},
			},
			want: `Zone eu-1 is SERVING for 0s.
Of the normal services that count (1), 1 are routable; at least 1 must be.
It becomes NOT_SERVING if one of these critical services does: auth/@eu-1, db/@eu-1.`,
		},
		"a mesh for a critical service": {
			state: health.State{
				ID: health.ID{Service: health.MeshName}, Status: health.NotServing, Cause: health.CauseFailed, Since: now,
				Counts: &health.Counts{By: [health.NumStatuses]int{health.Serving: 1, health.NotServing: 2}, Counted: 3, Rule: health.Available, Normal: 2, Routable: 1, Need: 1, CriticalDown: 1},
			},
			members: []health.State{{ID: health.ID{Service: "db"}, Status: health.NotServing, Counts: &health.Counts{Critical: true}}, {ID: health.ID{Service: "pay"}, Status: health.NotServing, Counts: &health.Counts{}}},
			want: `The mesh is NOT_SERVING for 0s.
Of the normal services that count (2), 1 are routable; at least 1 must be.
It is NOT_SERVING because these critical services are: db.
NOT_SERVING: db, pay.`,
		},
		"a mesh by its worst": {
			state:   health.State{ID: health.ID{Service: health.MeshName}, Status: health.NotServing, Since: now, Counts: &health.Counts{By: [health.NumStatuses]int{health.NotServing: 1}, Counted: 1, Rule: health.Worst}},
			members: []health.State{{ID: health.ID{Service: "db"}, Status: health.NotServing, Counts: &health.Counts{Critical: true}}},
			want: `The mesh is NOT_SERVING for 0s.
Its status follows from the rule worst.
NOT_SERVING: db.`,
		},
		"a zone":          {state: health.State{ID: health.ZoneID(health.MeshName, "eu-1"), Status: health.Serving, Since: now, Counts: &health.Counts{}}, want: "Zone eu-1 is SERVING for 0s."},
		"a part":          {state: health.State{ID: health.ZoneID("pay", "eu-1"), Status: health.Starting, Cause: health.CauseStarting, Since: now, Counts: &health.Counts{}}, want: "pay in zone eu-1 is STARTING for 0s: there is no evidence yet."},
		"the mesh":        {state: health.State{ID: health.ID{Service: health.MeshName}, Status: health.Serving, Since: now, Counts: &health.Counts{}}, want: "The mesh is SERVING for 0s."},
		"the coordinator": {state: health.State{Status: health.Degraded, Cause: health.CauseFailed, Reason: "store: full", Since: now}, want: "The coordinator is DEGRADED for 0s: store: full."},
		"another process answers": {
			state: health.State{
				ID: health.ID{Service: "shop", Instance: "a"}, Status: health.Serving, Reason: "another process than the registered one answers at its address",
				Since: now, Spec: spec, Source: health.SourceMeshhealth, Unconfirmed: true, Unreachable: true, Stranger: true,
			},
			want: `shop/a is SERVING for 0s.
This is the last known status; it cannot be confirmed now.
Another process than the registered one answers at 10.0.0.1:9000; its answers do not count.
If the registered process does not renew its lease, the instance becomes NOT_SERVING (lease_expired) within 0s.`,
		},
		"polled, because its Watch does not work": {
			state: health.State{ID: health.ID{Service: "shop", Instance: "a"}, Status: health.Serving, Since: now, Spec: spec, Source: health.SourcePoll, Via: "its Watch opens and stays silent"},
			want: `shop/a is SERVING for 0s.
The coordinator follows it at 10.0.0.1:9000, by grpc-poll: its Watch opens and stays silent.`,
		},
		"no room": {
			state: health.State{ID: health.ID{Service: "shop", Instance: "a"}, Status: health.Serving, Since: now, Spec: spec, Source: health.SourcePoll, Unconfirmed: true, NextAt: now.Add(2 * time.Second), NextCause: health.CauseQuota},
			want: `shop/a is SERVING for 0s.
This is the last known status; it cannot be confirmed now.
The coordinator follows it at 10.0.0.1:9000, by grpc-poll.
In 2s it becomes UNKNOWN (quota), unless it answers.`,
		},
		"SERVING counts soon": {
			state: health.State{ID: health.ID{Service: "shop", Instance: "a"}, Status: health.NotServing, Cause: health.CauseFailed, Since: now, Spec: spec, NextAt: now.Add(2 * time.Second), NextCause: health.CauseOK},
			want: `shop/a is NOT_SERVING for 0s.
No status was received from it at 10.0.0.1:9000 since the coordinator started.
In 2s it becomes SERVING, unless it stops answering SERVING.`,
		},
	} {
		input := &Input{Now: now, Policy: func(string) health.ServicePolicy { return c.policy }, Members: c.members, Find: func(id health.ID) (health.State, bool) { s, ok := states[id]; return s, ok }}
		if got := strings.Join(Explain(&c.state, input).Sentences, "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func many(n int) (all []health.State) {
	for i := range n {
		all = append(all, health.State{ID: health.ID{Service: "pay", Instance: "s" + string(rune('0'+i))}, Status: health.Starting, Cause: health.CauseStarting})
	}
	return all
}

// TestCauseWords checks that each cause has words, except those that the status says.
func TestCauseWords(t *testing.T) {
	for c := health.CauseOK; c < health.NumCauses; c++ {
		plain := c == health.CauseOK || c == health.CauseWarned || c == health.CauseFailed || c == health.CauseDraining || c == health.CauseMaintenance || c == health.CauseForced
		if plain != (wordsOf(c) == "") {
			t.Errorf("the words of %s are %q", c, wordsOf(c))
		}
	}
}
