package health

import (
	"strings"
	"testing"
	"time"
)

func TestBecause(t *testing.T) {
	now := t0.Add(time.Hour)
	spec := &Spec{Address: "10.0.0.1:9000"}
	db := State{ID: ID{Service: "db"}, Status: NotServing, Since: now.Add(-3 * time.Minute), Counts: &Counts{}, Affected: 2}
	states := map[ID]State{
		db.ID:            db,
		{Service: "cdn"}: {Status: Degraded},
		{Service: "pay"}: {ID: ID{Service: "pay"}, Root: "db"},
	}
	for name, c := range map[string]struct {
		state   State
		policy  ServicePolicy
		members []State
		want    string
	}{
		"well": {
			state: State{ID: ID{"pay", "a"}, Status: Serving, Cause: CauseOK, Since: now.Add(-90 * time.Second), Spec: spec, Source: SourceMeshhealth},
			want: `pay/a is SERVING for 1m30s.
It is followed at 10.0.0.1:9000, by meshhealth-watch.`,
		},
		"a check fails": {
			state: State{
				ID: ID{"pay", "a"}, Status: NotServing, Cause: CauseTimeout, Since: now.Add(-time.Minute), FirstFailure: now.Add(-2 * time.Minute), Spec: spec, Source: SourceMeshhealth,
				Checks: []CheckState{{Name: "db", Status: NotServing, Cause: CauseTimeout, Reason: "2s", Fails: 3}, {Name: "disk", Status: Serving}},
			},
			want: `pay/a is NOT_SERVING for 1m: a check did not answer in time.
Its trouble began 2m ago.
Its check db is NOT_SERVING: a check did not answer in time: 2s (3 times in a row).
It is followed at 10.0.0.1:9000, by meshhealth-watch.
What its service suffers from is db.`,
		},
		"forced": {
			state: State{
				ID: ID{"pay", "a"}, Status: Maintenance, Cause: CauseMaintenance, Reason: "disks", Since: now.Add(-time.Second), Judged: Serving, Spec: spec, Pushed: true,
				Override: &Override{Scope: Scope{Zone: "eu-1"}, Author: "ann", Reason: "disks", SetAt: now.Add(-time.Second), ExpiresAt: now.Add(2 * time.Hour)},
			},
			want: `pay/a is MAINTENANCE for 1s.
ann has forced this 1s ago, for zone=eu-1: disks.
Without that it would be SERVING.
It ends in 2h.
It pushes its status, because we cannot reach it at 10.0.0.1:9000.`,
		},
		"in doubt": {
			state: State{
				ID: ID{"shop", "a"}, Status: Serving, Cause: CauseOK, Reason: "no route to host", Since: now.Add(-26 * time.Hour), Unconfirmed: true, Spec: spec, Source: SourceWatch,
				NextAt: now.Add(12 * time.Second), NextCause: CauseUnreachable,
			},
			want: `shop/a is SERVING for 26h: no route to host.
That cannot be confirmed at the moment; it is kept from before.
It is followed at 10.0.0.1:9000, by grpc-watch.
In 12s it is NOT_SERVING (unreachable), unless it is heard of.`,
		},
		"flapping": {
			state: State{ID: ID{"shop", "a"}, Status: NotServing, Cause: CauseFlapping, Since: now, Spec: spec, Unreachable: true, NextAt: now.Add(time.Minute), NextCause: CauseFlapping},
			want: `shop/a is NOT_SERVING for 0s: it goes up and down, and is held at its worst until it is quiet.
We cannot reach it at 10.0.0.1:9000, but it renews its lease: it lives.
If it is quiet until then, what it really is comes out in 1m.`,
		},
		"a service and its root": {
			state:   State{ID: ID{Service: "pay"}, Status: Degraded, Cause: CauseWarned, Since: now, Root: "db", Counts: &Counts{By: [NumStatuses]int{Serving: 1, NotServing: 1, Starting: 7}, Counted: 2, Rule: AtLeast(2)}},
			policy:  ServicePolicy{DependsOn: []string{"db", "queue"}, SoftDependsOn: []string{"cdn"}},
			members: append(many(7), State{ID: ID{"pay", "b"}, Status: NotServing, Cause: CauseRefused}, State{ID: ID{"pay", "a"}, Status: Serving}),
			want: `pay is DEGRADED for 0s.
It is judged by the rule at-least-2.
Of 9, 7 do not count: they have just come, are leaving, were taken out, or were never heard of.
NOT_SERVING: pay/b (refused).
STARTING: pay/s0, pay/s1, pay/s2, pay/s3, pay/s4, and 2 more.
It comes from db, which is NOT_SERVING for 3m.
It cannot do without queue, of which nothing is registered.
It would miss cdn, which is DEGRADED.`,
		},
		"a root":          {state: db, want: "db is NOT_SERVING for 3m.\n2 services are bad because of it."},
		"a zone":          {state: State{ID: ZoneID("eu-1"), Status: Serving, Since: now, Counts: &Counts{}}, want: "Zone eu-1 is SERVING for 0s."},
		"a part":          {state: State{ID: PartID("pay", "eu-1"), Status: Starting, Cause: CauseStarting, Since: now, Counts: &Counts{}}, want: "pay in zone eu-1 is STARTING for 0s: there is no evidence yet."},
		"the mesh":        {state: State{ID: ID{Service: MeshName}, Status: Serving, Since: now, Counts: &Counts{}}, want: "The mesh is SERVING for 0s."},
		"the coordinator": {state: State{Status: Degraded, Cause: CauseFailed, Reason: "store: full", Since: now}, want: "The coordinator is DEGRADED for 0s: store: full."},
		"believed soon": {
			state: State{ID: ID{"shop", "a"}, Status: NotServing, Cause: CauseFailed, Since: now, Spec: spec, NextAt: now.Add(2 * time.Second), NextCause: CauseOK},
			want: `shop/a is NOT_SERVING for 0s.
It was never heard of at 10.0.0.1:9000.
If it holds SERVING, that is believed in 2s.`,
		},
	} {
		around := &Surroundings{Now: now, Policy: c.policy, Members: c.members, Find: func(id ID) (State, bool) { s, ok := states[id]; return s, ok }}
		if got := strings.Join(c.state.Because(around), "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func many(n int) (all []State) {
	for i := range n {
		all = append(all, State{ID: ID{"pay", "s" + string(rune('0'+i))}, Status: Starting, Cause: CauseStarting})
	}
	return all
}

// Every cause that is not said by a status has its words.
func TestCauseWords(t *testing.T) {
	for _, c := range Causes() {
		plain := c == CauseOK || c == CauseWarned || c == CauseFailed || c == CauseDraining || c == CauseMaintenance || c == CauseForced
		if plain != (c.words() == "") {
			t.Errorf("%s means %q", c, c.words())
		}
	}
}
