package demo

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// The speed of a storm.
const (
	// MaxFlips is the largest number of flips per second in a storm. A flip is a change of the
	// status of one instance.
	MaxFlips = 1000
	// flipsPerInstance is how many flips per second a storm has for each instance of the crowd, up
	// to MaxFlips.
	flipsPerInstance = 0.2
	// stormTick is the time between two batches of flips.
	stormTick = 50 * time.Millisecond
	// unwellFor is how long a member of the crowd stays unwell.
	unwellFor = 2 * time.Second
)

// flipRate returns the number of flips per second for a crowd of n instances.
func flipRate(n int) int { return min(MaxFlips, max(1, int(float64(n)*flipsPerInstance))) }

// storm changes the statuses of a crowd. Its fields belong to the goroutine that calls run.
type storm struct {
	members []*member
	unwell  []*member // members that are not SERVING, in the order in which they became so
	random  *rand.Rand
	rate    float64 // flips in each second
	owed    float64 // flips that are due and not yet made; the rest is less than a flip
	steady  int     // number of unwell members that the storm keeps
	// revisions has the last revision in the feed of each zone.
	revisions map[*crowdZone]uint64
}

func newStorm(members []*member) *storm {
	rate := float64(flipRate(len(members)))
	return &storm{
		members: members, random: rand.New(rand.NewPCG(1, 2)),
		rate: rate, steady: min(int(rate/2*unwellFor.Seconds()), len(members)/2), revisions: map[*crowdZone]uint64{},
	}
}

// run flips members until ctx ends. The first flip is after registered was closed.
func (s *storm) run(ctx context.Context, registered <-chan struct{}) {
	ticker := time.NewTicker(stormTick)
	defer ticker.Stop()
	began, beats := time.Now(), 0
	var last time.Time // time of the last flips; zero before them
	for {
		select {
		case <-ctx.Done():
			return
		case <-registered:
			last, registered = time.Now(), nil
		case now := <-ticker.C:
			if !last.IsZero() {
				s.publish(s.flip(now, now.Sub(last)))
				last = now
			}
			for ; beats < int(now.Sub(began)/time.Second); beats++ {
				s.beat()
			}
		}
	}
}

// flip makes the flips of the time that has passed, but of a second at most. About half of the
// flips make a member unwell, and the others let one recover. A member flips at most once.
func (s *storm) flip(now time.Time, passed time.Duration) map[*crowdZone][]health.Change {
	s.owed += s.rate * min(passed, time.Second).Seconds()
	changes := map[*crowdZone][]health.Change{}
	for ; s.owed >= 1; s.owed-- {
		m, to := s.next(now)
		if m == nil {
			continue
		}
		from := m.status
		m.status, m.flipped = to, now
		s.add(changes, m, from, now)
	}
	return changes
}

// next returns the next member to change, and its new status. It returns nil if it chose a member
// that is already unwell, or that has flipped at the time now.
func (s *storm) next(now time.Time) (*member, health.Status) {
	if len(s.unwell) > s.steady && s.unwell[0].flipped != now {
		m := s.unwell[0]
		s.unwell = s.unwell[1:]
		return m, health.Serving
	}
	m := s.members[s.random.IntN(len(s.members))]
	if m.status != health.Serving || m.flipped == now {
		return nil, health.Unknown
	}
	s.unwell = append(s.unwell, m)
	if s.random.IntN(4) == 0 {
		return m, health.NotServing
	}
	return m, health.Degraded
}

// all returns the first change of each member.
func (s *storm) all(now time.Time) map[*crowdZone][]health.Change {
	changes := map[*crowdZone][]health.Change{}
	for _, m := range s.members {
		s.add(changes, m, health.Unknown, now)
	}
	return changes
}

func (s *storm) add(changes map[*crowdZone][]health.Change, m *member, from health.Status, now time.Time) {
	s.revisions[m.zone]++
	state := health.State{
		ID: health.ID{Service: m.healthName()}, Status: m.status, Cause: health.CauseOK, Since: now, Revision: s.revisions[m.zone],
	}
	switch m.status {
	case health.Degraded:
		state.Cause, state.Reason = health.CauseWarned, "the storm says so"
	case health.NotServing:
		state.Cause, state.Reason = health.CauseFailed, "the storm says so"
	}
	changes[m.zone] = append(changes[m.zone], health.Change{State: state, Epoch: m.zone.feed.Epoch(), From: from, At: now})
}

func (s *storm) publish(changes map[*crowdZone][]health.Change) {
	for z, all := range changes {
		z.feed.Publish(all)
	}
}

func (s *storm) beat() {
	for z := range s.revisions {
		z.feed.Beat()
	}
}
