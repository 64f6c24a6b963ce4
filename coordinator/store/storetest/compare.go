package storetest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// The functions below compare the texts of records. Some differences between stores are accepted:
// another order of the records, another location of times, and nil instead of empty labels.

// text returns the key of a record, a space, and the record v in JSON. The key is a parameter,
// because the JSON of v does not contain it.
func text(key string, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // this cannot happen, because JSON can encode every record
	}
	return key + " " + string(b)
}

func utc(t time.Time) time.Time { return t.UTC().Round(0) }

func lines(s *store.State) []string {
	all := []string{"alive " + utc(s.AliveAt).String(), "last batch " + strconv.FormatUint(s.LastBatch, 10)}
	for _, p := range s.Positions {
		all = append(all, "position "+text(p.Consumer, p))
	}
	for _, r := range s.Registrations {
		r.RegisteredAt = utc(r.RegisteredAt)
		all = append(all, "registration "+text(r.ID.String(), r))
	}
	for _, o := range s.Overrides {
		o.SetAt, o.ExpiresAt = utc(o.SetAt), utc(o.ExpiresAt)
		o.GoneAt = utc(o.GoneAt)
		all = append(all, "override "+text(o.Scope, o))
	}
	for _, st := range s.Statuses {
		st.Since = utc(st.Since)
		all = append(all, "status "+text(st.ID.String(), st))
	}
	slices.Sort(all)
	return all
}

func transitionLine(t store.Transition) string {
	t.At, t.FirstFailure = utc(t.At), utc(t.FirstFailure)
	return text(t.ID.String(), t)
}

// same fails the test if the states got and want are not equal.
func same(t *testing.T, what string, got, want store.State) {
	t.Helper()
	diff(t, what, lines(&got), lines(&want))
}

// sameJournal fails the test if the transitions in got and want are not equal. It compares the
// field Seq only for transitions whose Seq in want is not 0.
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

// stateOf returns the state that an empty store must have after a commit of the batch b.
func stateOf(b *store.Batch) store.State {
	return store.State{
		Registrations: b.PutRegistrations, Overrides: b.PutOverrides, Statuses: b.PutStatuses, Positions: b.PutPositions,
		AliveAt: b.AliveAt, LastBatch: b.ID,
	}
}

func newestFirst(all []store.Transition) []store.Transition {
	turned := slices.Clone(all)
	slices.Reverse(turned)
	return turned
}
