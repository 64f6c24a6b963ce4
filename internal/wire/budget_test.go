package wire

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// TestBudget: so many at once, and then so many a second; what is refused costs
// nothing.
func TestBudget(t *testing.T) {
	begin := time.Now()
	for _, c := range []struct {
		name             string
		perSecond, burst int
		every            time.Duration
		over             time.Duration
		least, most      int
	}{
		{"at once", 20, 100, 0, time.Nanosecond, 100, 100},
		{"a second of flood", 20, 100, time.Millisecond, time.Second, 119, 120},
		{"a minute of flood", 20, 100, time.Millisecond, time.Minute, 1299, 1300},
		{"just within", 20, 100, 50 * time.Millisecond, time.Minute, 1200, 1200},
		{"no limit", 0, 0, time.Millisecond, time.Second, 1000, 1000},
	} {
		b, taken, asked := NewBudget(c.perSecond, c.burst), 0, 0
		for at := time.Duration(0); at < c.over && asked < 100_000; at, asked = at+c.every, asked+1 {
			if b.Take(begin.Add(at)) {
				taken++
			}
		}
		if taken < c.least || taken > c.most {
			t.Errorf("%s: %d were taken, want %d to %d", c.name, taken, c.least, c.most)
		}
	}
	b := NewBudget(20, 100)
	for range 200 {
		b.Take(begin)
	}
	if b.Full(begin.Add(4999*time.Millisecond)) || !b.Full(begin.Add(5*time.Second)) {
		t.Error("it is full after another time than 5 s")
	}
}

// TestBudgetOracle: within every window no more is taken than the burst and what
// the time in it gives.
func TestBudgetOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		rate, burst := 1+random.IntN(50), 1+random.IntN(200)
		b, now := NewBudget(rate, burst), time.Now()
		var taken []time.Time
		for range 1000 {
			now = now.Add(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
			room := true
			for i := range taken {
				window := now.Sub(taken[i]).Seconds()
				room = room && float64(len(taken)-i+1) <= float64(burst)+window*float64(rate)+1e-6
			}
			if got := b.Take(now); got != room {
				t.Fatalf("%d a second, %d at once: taken %v, want %v, after %d", rate, burst, got, room, len(taken))
			} else if got {
				taken = append(taken, now)
			}
		}
	}
}

// TestBudgets: each instance has its own, is named as long as it floods and for a
// minute after it, and is forgotten.
func TestBudgets(t *testing.T) {
	now := time.Now()
	b := NewBudgets(20, 100)
	a, c := health.ParseID("pay/a"), health.ParseID("pay/c")
	names := func(want ...string) {
		t.Helper()
		got, all := b.Flooding(now, 1)
		if !slices.Equal(got, want[:min(len(want), 1)]) || all != len(want) {
			t.Errorf("%v of %d flood, want %v", got, all, want)
		}
	}
	names()
	for range 100 {
		if !b.Take(a, now) || !b.Take(c, now) {
			t.Fatal("the burst is refused")
		}
	}
	names()
	if b.Take(c, now) || b.Take(a, now) {
		t.Error("more than the burst is taken")
	}
	b.Drop(3)
	names("pay/a", "pay/c")
	now = now.Add(30 * time.Second)
	for range 101 {
		b.Take(a, now)
	}
	now = now.Add(30 * time.Second)
	names("pay/a")
	now = now.Add(30 * time.Second)
	names()
	b.Take(health.ParseID("pay/d"), now)
	if len(b.of) != 1 || b.Dropped() != 3 {
		t.Errorf("%d are remembered, %d dropped", len(b.of), b.Dropped())
	}
	var none *Budgets
	none.Drop(1)
	if names, all := none.Flooding(now, 5); !none.Take(a, now) || names != nil || all != 0 || none.Dropped() != 0 {
		t.Error("no budgets have a limit")
	}
}
