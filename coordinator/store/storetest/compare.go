package storetest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// The texts below stand for records in comparisons: a store may return another
// reading of the same time, or nil for no labels, and any order.

// text writes v with its name, which JSON leaves out.
func text(id health.ID, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // records are plain data
	}
	return id.String() + " " + string(b)
}

func utc(t time.Time) time.Time { return t.UTC().Round(0) }

func lines(s *store.State) []string {
	all := []string{"alive " + utc(s.AliveAt).String()}
	for _, r := range s.Registrations {
		r.RegisteredAt = utc(r.RegisteredAt)
		all = append(all, "registration "+text(r.ID, r))
	}
	for _, o := range s.Overrides {
		o.SetAt, o.ExpiresAt = utc(o.SetAt), utc(o.ExpiresAt)
		all = append(all, "override "+text(o.ID, o))
	}
	for _, st := range s.Statuses {
		st.Since = utc(st.Since)
		all = append(all, "status "+text(st.ID, st))
	}
	slices.Sort(all)
	return all
}

func transitionLine(t store.Transition) string {
	t.At, t.FirstFailure = utc(t.At), utc(t.FirstFailure)
	return text(t.ID, t)
}

// same compares states.
func same(t *testing.T, what string, got, want store.State) {
	t.Helper()
	diff(t, what, lines(&got), lines(&want))
}

// sameJournal compares transitions, but for their numbers if want has none.
func sameJournal(t *testing.T, what string, got, want []store.Transition) {
	t.Helper()
	diff(t, what, transitionLines(got), transitionLines(want))
	for i := range min(len(got), len(want)) {
		if want[i].Seq != 0 && got[i].Seq != want[i].Seq {
			t.Fatalf("%s: transition %d has number %d, want %d", what, i, got[i].Seq, want[i].Seq)
		}
	}
}

func transitionLines(all []store.Transition) []string {
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = transitionLine(all[i])
	}
	return texts
}

func diff(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n got\n\t%s\n want\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// stateOf is a state of these parts of a batch.
func stateOf(b *store.Batch) store.State {
	return store.State{
		Registrations: b.PutRegistrations, Overrides: b.PutOverrides, Statuses: b.PutStatuses, AliveAt: b.AliveAt,
	}
}

func newestFirst(all []store.Transition) []store.Transition {
	turned := slices.Clone(all)
	slices.Reverse(turned)
	return turned
}
