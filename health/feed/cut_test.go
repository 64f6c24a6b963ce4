package feed

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// The entries of a step do not change, and a slow read blocks neither publisher nor readers.
func TestSnapshotHoldsNoLock(t *testing.T) {
	p := newPublisher(0)
	for i := range 100 {
		p.publish(fmt.Sprintf("a/%02d", i))
	}
	r := p.feed.NewReader(Interest{})
	step, n := next(t, r), 0
	for e := range step.Entries {
		if want := fmt.Sprintf("a/%02d", n); e.ID.String() != want || e.Revision != uint64(n+1) {
			t.Fatalf("entry %d is %s@%d, want %s@%d", n, e.ID, e.Revision, want, n+1)
		}
		n++
		p.publish(fmt.Sprintf("a/%02d", 99-n%50)+[]string{"", "-"}[n%2], "b/1")
		p.feed.Beat()
	}
	if n != 100 || step.Revision != 100 {
		t.Errorf("%d entries at %d", n, step.Revision)
	}
	// The same holds for changes: b/1 is the entry as of the step, although a newer one was published.
	step = next(t, r)
	p.publish("b/1")
	if got := listed(step.Entries); !slices.Contains(strings.Fields(got), fmt.Sprintf("b/1@%d", step.Revision)) {
		t.Errorf("as of %d: %s", step.Revision, got)
	}
}

// Duplicate services are merged, and names match exactly.
func TestInterestIsMerged(t *testing.T) {
	p := newPublisher(0)
	p.publish("a", "a/1", "a/2", "b/1", "c/1")
	for _, c := range []struct {
		in   Interest
		want string
	}{
		{Interest{Services: []string{"b", "a", "b", "a", "nobody"}}, "a@1 a/1@2 a/2@3 b/1@4"},
		{Interest{Names: ids("a/2", "c/1", "a/2", "a/9")}, "a/2@3 c/1@5"},
		{Interest{Names: ids("a")}, "a@1"},
	} {
		r := p.feed.NewReader(c.in)
		if got := listed(next(t, r).Entries); got != c.want {
			t.Errorf("%v reads %s, want %s", c.in, got, c.want)
		}
	}
	r := p.feed.NewReader(Interest{Names: ids("a/2", "a/9")})
	next(t, r)
	p.publish("a/1", "b/1", "a")
	idle(t, r)
	p.publish("a/1", "a/9", "a/2-")
	if got := listed(next(t, r).Entries); got != "a/9@10 a/2@11-" {
		t.Errorf("of names, changes are %s", got)
	}
}

// A page can begin after any name, and entries come in the order of names.
func TestCut(t *testing.T) {
	p := newPublisher(0)
	p.publish("b/2", "c/1", "a/1", "b", "b/1", "*", "b/@z", "c", "a", "d/1", "d/1-")
	c := p.feed.Cut()
	for _, want := range []struct {
		name string
		got  string
		want string
	}{
		{"all", listed(c.Of()), "*@6 a@9 a/1@3 b@4 b/1@5 b/2@1 b/@z@7 c@8 c/1@2"},
		{"of services", listed(c.Of("c", "a", "c")), "a@9 a/1@3 c@8 c/1@2"},
		{"after a name", listed(c.After(ids("b/1")[0])), "b/2@1 b/@z@7 c@8 c/1@2"},
		{"after a name that is gone", listed(c.After(ids("b/15")[0])), "b/2@1 b/@z@7 c@8 c/1@2"},
		{"after it, of services", listed(c.After(ids("b/2")[0], "c", "b", "a")), "b/@z@7 c@8 c/1@2"},
		{"after the last", listed(c.After(ids("z")[0])), ""},
		{"aggregates", listed(c.Aggregates()), "*@6 a@9 b@4 c@8"},
	} {
		if want.got != want.want {
			t.Errorf("%s: %s, want %s", want.name, want.got, want.want)
		}
	}
	if e, ok := c.Get(ids("b/2")[0]); !ok || e.Revision != 1 || c.Len() != 9 || c.Revision() != 11 {
		t.Errorf("%v, %v of %d at %d", e, ok, c.Len(), c.Revision())
	}
}

// The cost of a page depends on its own entries only, also if there are 50,000 names.
func TestPageCostsItsSize(t *testing.T) {
	f := New(7, 0)
	changes := make([]health.Change, 50_000)
	for i := range changes {
		changes[i] = health.Change{State: health.State{ID: health.ID{Service: "pay", Instance: names[i%len(names)] + fmt.Sprint("-", i)}, Revision: uint64(i + 1)}}
	}
	f.Publish(changes)
	if allocs := testing.AllocsPerRun(10, func() {
		for range f.Cut().After(changes[25_000].ID, "pay") {
			break
		}
		f.NewReader(Interest{}).poll()
	}); allocs > 20 {
		t.Errorf("%v allocations for one entry and a snapshot of %d", allocs, len(changes))
	}
}

func ids(names ...string) (all []health.ID) {
	for _, n := range names {
		all = append(all, health.ParseID(n))
	}
	return all
}
