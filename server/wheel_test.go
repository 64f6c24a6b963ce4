package server

import (
	"math/rand/v2"
	"testing"
	"time"
)

// model is a second implementation of a wheel: a map from tasks to their due times.
type model map[*task]instant

func (m model) countDue(now instant) (n int) {
	for _, at := range m {
		if at <= now {
			n++
		}
	}
	return n
}

func (m model) next(limit instant) instant {
	for _, at := range m {
		limit = min(limit, at)
	}
	return limit
}

// removeReady removes all ready tasks from the wheel and from the model.
func (m model) removeReady(t *testing.T, w *wheel, now instant) {
	t.Helper()
	want, got := m.countDue(now), 0
	for one := w.ready(); one != nil; one = w.ready() {
		if at, ok := m[one]; !ok || at > now {
			t.Fatalf("at %v a task is ready that is due at %v", now, at)
		}
		w.remove(one)
		delete(m, one)
		got++
	}
	if got != want {
		t.Fatalf("at %v %d tasks were ready, want %d", now, got, want)
	}
}

// equal checks that the wheel has exactly the tasks of the model.
func (m model) equal(t *testing.T, w *wheel) {
	t.Helper()
	n := 0
	for one := range w.all() {
		if _, ok := m[one]; !ok {
			t.Fatal("the wheel has a task that was removed")
		}
		n++
	}
	if n != len(m) {
		t.Fatalf("the wheel has %d tasks, want %d", n, len(m))
	}
}

func TestWheelAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		upTo := func(d time.Duration) instant { return instant(r.Int64N(int64(d) + 1)) }
		w, m, tasks := &wheel{}, model{}, make([]task, 200)
		now := instant(0)
		for range 1000 {
			now += upTo(100 * time.Millisecond)
			for range r.IntN(20) {
				one := &tasks[r.IntN(len(tasks))]
				at := []instant{never, upTo(time.Duration(now)), now + upTo(time.Second), now + upTo(time.Hour)}
				if i := r.IntN(5); i < len(at) {
					m[one] = at[i]
					w.put(one, at[i])
				} else {
					delete(m, one)
					w.remove(one)
				}
			}
			w.advance(now)
			m.removeReady(t, w, now)
			if limit := now + instant(time.Second); w.next(limit) != m.next(limit) {
				t.Fatalf("seed %d: next is %v, want %v", seed, w.next(limit), m.next(limit))
			}
			m.equal(t, w)
		}
		now += instant(10 * time.Hour) // many turns
		w.advance(now)
		m.removeReady(t, w, now)
		m.equal(t, w)
	}
}
