package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// inRange returns the transitions of a journal that a query should find, in the order of the query.
// kept must have all transitions of the journal, the oldest first, with their Seq.
func inRange(kept []store.Transition, q store.Query) []store.Transition {
	var some []store.Transition
	for i, t := range kept {
		from, to := t.At, t.At
		if t.Lost > 0 && i > 0 {
			before := kept[i-1].At
			from, to = earlier(from, before), later(to, before)
		}
		byID := t.Lost > 0 || q.ID == (health.ID{}) || t.ID == q.ID || q.ID.Instance == "" && t.ID.Service == q.ID.Service
		byTime := (q.From.IsZero() || !to.Before(q.From)) && (q.To.IsZero() || from.Before(q.To))
		bySeq := t.Seq > q.After && (q.Before == 0 || t.Seq < q.Before)
		if byID && byTime && bySeq {
			some = append(some, t)
		}
	}
	if !q.OldestFirst {
		slices.Reverse(some)
	}
	return some
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// jumping makes transitions of a clock that sometimes jumps, in both directions. now is the number
// of seconds of the clock.
func (c chance) jumping(n int, now *int) []store.Transition {
	all := make([]store.Transition, n)
	for i := range all {
		switch c.IntN(40) {
		case 0:
			*now += c.IntN(2000) - 1000
		case 1:
			*now += c.IntN(20) - 10
		default:
			*now += c.IntN(3)
		}
		all[i] = store.Transition{ID: c.id(), From: c.status(), To: c.status(), At: at(*now)}
		if c.IntN(12) == 0 {
			all[i] = store.Transition{At: at(*now), Lost: 1 + c.Uint64N(9)}
		}
	}
	return all
}

// query returns a random query for a journal with transitions between two seconds.
func (c chance) query(low, high int) store.Query {
	q := store.Query{OldestFirst: c.IntN(2) == 0, Limit: 1 + c.IntN(30)}
	if c.IntN(2) == 0 {
		q.ID = queries[c.IntN(len(queries))].ID
	}
	if c.IntN(4) > 0 {
		q.From = at(low + c.IntN(high-low+1))
	}
	if c.IntN(4) > 0 {
		q.To = at(low + c.IntN(high-low+1))
		if !q.From.IsZero() && c.IntN(2) == 0 {
			q.To = q.From.Add(time.Duration(1+c.IntN(20)) * time.Second)
		}
	}
	if c.IntN(6) == 0 {
		q.After = c.Uint64N(400)
	}
	if c.IntN(6) == 0 {
		q.Before = c.Uint64N(1500)
	}
	return q
}

// bounds returns the seconds of the earliest and the latest transition.
func bounds(all []store.Transition) (low, high int) {
	for i, t := range all {
		s := int(t.At.Sub(noon) / time.Second)
		if i == 0 {
			low, high = s, s
		}
		low, high = min(low, s), max(high, s)
	}
	return low - 2, high + 2
}

// checkQueries compares many random queries of a store with the journal that it should have.
func (c chance) checkQueries(t *testing.T, s store.Store, kept []store.Transition) {
	t.Helper()
	low, high := bounds(kept)
	for range 40 {
		q := c.query(low, high)
		sameJournal(t, text("query", q), journal(t, s, q), inRange(kept, q))
	}
}

// testTimeRanges compares queries of random journals with a simple model. The clock jumps, and the
// journals have gaps and drop their oldest transitions.
func testTimeRanges(t *testing.T, open Open) {
	c := newChance(t)
	for _, most := range []int{40, 700, 10_000} {
		s, now := open(t, most), 0
		var all []store.Transition
		for range 12 {
			b := c.jumping(1+c.IntN(250), &now)
			commit(t, s, &store.Batch{Transitions: b})
			for _, x := range b {
				x.Seq = uint64(len(all) + 1)
				all = append(all, x)
			}
			c.checkQueries(t, s, all[max(0, len(all)-most):])
		}
	}
}

// testTimeRangesReopening does the same with a store that is opened again.
func testTimeRangesReopening(t *testing.T, open OpenAt) {
	const most = 700
	c, folder, now := newChance(t), t.TempDir(), 0
	s := open(t, folder, most)
	var all []store.Transition
	for range 6 {
		for _, x := range c.jumping(250, &now) {
			x.Seq = uint64(len(all) + 1)
			all = append(all, x)
			if x.Seq%50 == 0 {
				commit(t, s, &store.Batch{Transitions: all[len(all)-50:]})
			}
		}
		s = reopen(t, s, open, folder, most)
		c.checkQueries(t, s, all[max(0, len(all)-most):])
	}
}

// testExamined: a page ends after store.MaxExamined transitions, also if none matches, and the next
// page continues there. A narrow range is found at once, wherever it is.
func testExamined(t *testing.T, open Open) {
	s := open(t, 0)
	const n = 3*store.MaxExamined + 10
	all := changes(pay1, n)
	all[5].ID, all[n-5].ID = cart1, cart1
	commit(t, s, &store.Batch{Transitions: all})
	for _, oldestFirst := range []bool{false, true} {
		q := store.Query{ID: cart1, OldestFirst: oldestFirst, Limit: 2}
		found, empty := 0, 0
		for pages := 0; ; pages++ {
			p := page(t, s, q)
			found += len(p.Transitions)
			if len(p.Transitions) == 0 {
				empty++
			}
			if p.Next == 0 {
				if found != 2 || empty != 2 || pages != 3 {
					t.Errorf("oldest first %t: %d found on %d pages, %d of them empty", oldestFirst, found, pages+1, empty)
				}
				break
			}
			if q.Before = p.Next; oldestFirst {
				q.Before, q.After = 0, p.Next
			}
		}
		for _, second := range []int{0, 3, store.MaxExamined + 7, 2*store.MaxExamined + 300, n - 1} {
			q := store.Query{From: at(second), To: at(second + 1), OldestFirst: oldestFirst, Limit: 2}
			p := page(t, s, q)
			if len(p.Transitions) != 1 || p.Next != 0 || !p.Transitions[0].At.Equal(at(second)) {
				t.Errorf("oldest first %t, second %d: %d transitions, next page %d", oldestFirst, second, len(p.Transitions), p.Next)
			}
		}
	}
}

// testRangeBesideTheWriter reads a time range while the journal grows and drops its oldest transitions.
// Each read must find all transitions of the range that were there before and are still there.
func testRangeBesideTheWriter(t *testing.T, open Open) {
	s := open(t, 2000)
	commit(t, s, &store.Batch{Transitions: changes(pay1, 1500)})
	wrote := make(chan error, 1)
	go func() {
		for i := range 40 {
			b := changes(cart1, 10)
			for k := range b {
				b[k].At = at(10_000 + 10*i + k)
			}
			if err := s.Commit(context.Background(), &store.Batch{Transitions: b}); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	for done := false; !done; {
		select {
		case err := <-wrote:
			if err != nil {
				t.Error(err)
			}
			done = true
		default:
		}
		got := journal(t, s, store.Query{From: at(1000), To: at(1100), Limit: 30})
		if len(got) != 100 || !got[0].At.Equal(at(1099)) {
			t.Fatalf("%d transitions", len(got))
		}
	}
}

// testEverySecond queries each single second of a journal. Some gaps cover several seconds. Their
// numbers are such that gaps are at some borders of the blocks of an index, and not at others.
func testEverySecond(t *testing.T, open Open) {
	s := open(t, 0)
	var all []store.Transition
	second := 0
	for seq := uint64(1); seq <= 1100; seq++ {
		second++
		x := store.Transition{Seq: seq, ID: pay1, To: health.Degraded}
		if seq%96 == 0 {
			second += 5
			x = store.Transition{Seq: seq, Lost: 3}
		}
		x.At = at(second)
		all = append(all, x)
	}
	commit(t, s, &store.Batch{Transitions: all})
	for i := range second + 2 {
		q := store.Query{From: at(i), To: at(i + 1), Limit: 3, OldestFirst: i%2 == 0}
		sameJournal(t, text("query", q), journal(t, s, q), inRange(all, q))
		q.OldestFirst = !q.OldestFirst
		sameJournal(t, text("query", q), journal(t, s, q), inRange(all, q))
	}
}
