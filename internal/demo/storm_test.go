package demo

import (
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// newMembers returns the members of a crowd in one zone, which has no server.
func newMembers(n int) []*member {
	z := &crowdZone{name: zones[0], feed: feed.New(1, 0)}
	var all []*member
	for i := range n {
		all = append(all, newMember(i, z))
	}
	return all
}

func TestCrowdNames(t *testing.T) {
	seen := map[health.ID]bool{}
	for _, m := range newMembers(MaxStormInstances) {
		if seen[m.id] {
			t.Fatalf("%v is there twice", m.id)
		}
		seen[m.id] = true
		if err := wire.CheckService(m.id.Service); err != nil {
			t.Errorf("%v: %v", m.id, err)
		}
		if err := wire.CheckInstance(m.id.Instance); err != nil {
			t.Errorf("%v: %v", m.id, err)
		}
		if err := wire.CheckHealthName(m.healthName()); err != nil {
			t.Errorf("%v: %v", m.id, err)
		}
		if findNode(m.id.Service) != nil {
			t.Errorf("%v is in the story too", m.id)
		}
	}
}

func TestFlipRate(t *testing.T) {
	for n, want := range map[int]int{1: 1, 100: 20, 1000: 200, 5000: MaxFlips, 9964: MaxFlips} {
		if got := flipRate(n); got != want {
			t.Errorf("flipRate(%d) = %d, want %d", n, got, want)
		}
	}
}

// TestStorm plays a minute of a storm. In each batch a name is there once, and each change is a
// flip. The number of flips is that of the rate, and the crowd stays mostly well.
func TestStorm(t *testing.T) {
	for _, n := range []int{1, 40, 5000} {
		s := newStorm(newMembers(n))
		s.publish(s.all(noon))
		known := map[health.ID]health.Status{}
		flips := 0
		for tick := range 60 * 20 {
			for _, changes := range s.flip(noon.Add(time.Duration(tick)*stormTick), stormTick) {
				inBatch := map[health.ID]bool{}
				for _, c := range changes {
					before, was := known[c.ID]
					if !was {
						before = health.Serving
					}
					if inBatch[c.ID] || c.From != before || c.Status == before {
						t.Fatalf("%d members: %v from %v to %v, which was %v", n, c.ID, c.From, c.Status, before)
					}
					inBatch[c.ID], known[c.ID] = true, c.Status
					flips++
				}
			}
			if len(s.unwell) > s.steady+flipRate(n) {
				t.Fatalf("%d members: %d unwell, want about %d", n, len(s.unwell), s.steady)
			}
		}
		if most := 60 * flipRate(n); flips > most || flips < most/3 {
			t.Errorf("%d members: %d flips in a minute, want at most %d", n, flips, most)
		}
	}
}

// TestStormLate checks that a storm whose process was stopped for long does not make up for all
// flips at once.
func TestStormLate(t *testing.T) {
	s := newStorm(newMembers(5000))
	flips := 0
	for _, changes := range s.flip(noon, time.Hour) {
		flips += len(changes)
	}
	if flips > MaxFlips {
		t.Errorf("%d flips after an hour, want at most %d", flips, MaxFlips)
	}
}
