package store

import "time"

// MaxExamined is the largest number of transitions that one call of Transitions examines. Blocks of
// transitions that a TimeIndex excludes do not count.
const MaxExamined = 10_000

// JournalCursor moves over the transitions of a journal. ReadPage uses it.
type JournalCursor interface {
	// Seek moves to the newest transition whose Seq is at most seq. If forward is true, it moves to
	// the oldest transition whose Seq is at least seq. It returns the Seq of this transition, or 0
	// if there is none.
	Seek(seq uint64, forward bool) uint64
	// Step moves to the next older transition, or to the next newer one if forward is true. It
	// returns its Seq, or 0 if there is none.
	Step(forward bool) uint64
	// Selected reports whether Query.ID selects the transition at the cursor.
	Selected() bool
	// Read returns the transition at the cursor.
	Read() (Transition, error)
	// TimeBefore returns the time of the transition before the one at the cursor. ok is false if
	// there is none. The cursor stays where it is.
	TimeBefore() (at time.Time, ok bool, err error)
}

// ReadPage returns one page of a journal. times must know all transitions that c can reach. It is
// used only if the query has a time range.
func ReadPage(c JournalCursor, q *Query, times *TimeIndex) (Page, error) {
	var page Page
	var last uint64 // Seq of the transition that was examined last
	timed, block := !q.From.IsZero() || !q.To.IsZero(), ^uint64(0)
	seq := c.Seek(q.start(), q.OldestFirst)
	for examined := 0; seq != 0 && q.within(seq); {
		if timed && seq/timeBlock != block {
			block = seq / timeBlock
			if to := times.seek(seq, q); to != seq {
				if to == 0 {
					break
				}
				seq = c.Seek(to, q.OldestFirst)
				block = ^uint64(0)
				continue
			}
		}
		if examined == MaxExamined {
			page.Next = last
			break
		}
		examined, last = examined+1, seq
		t, ok, err := readSelected(c, q, timed)
		if err != nil {
			return Page{}, err
		}
		if ok && len(page.Transitions) == q.Limit {
			page.Next = page.Transitions[q.Limit-1].Seq
			break
		}
		if ok {
			page.Transitions = append(page.Transitions, t)
		}
		seq = c.Step(q.OldestFirst)
	}
	return page, nil
}

// start returns the Seq at which a read begins.
func (q *Query) start() uint64 {
	switch {
	case q.OldestFirst:
		return q.After + 1
	case q.Before == 0:
		return ^uint64(0)
	}
	return q.Before - 1
}

// within reports whether Before and After select a Seq.
func (q *Query) within(seq uint64) bool { return seq > q.After && (q.Before == 0 || seq < q.Before) }

// readSelected reads the transition at the cursor. ok is false if the query does not select it.
func readSelected(c JournalCursor, q *Query, timed bool) (t Transition, ok bool, err error) {
	if !c.Selected() {
		return t, false, nil
	}
	if t, err = c.Read(); err != nil || !timed {
		return t, err == nil, err
	}
	span := timeSpan{t.At, t.At}
	if t.Lost > 0 {
		before, known, err := c.TimeBefore()
		if err != nil {
			return t, false, err
		}
		if known {
			span.extend(before)
		}
	}
	return t, span.touches(q), nil
}
