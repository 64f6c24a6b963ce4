package mesh

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// flapper is one instance, with the statuses that it has reported and the times of its
// flips.
type flapper struct {
	mesh  *Mesh
	id    health.ID
	now   time.Time
	said  []health.Status
	steps []time.Time // the times of said
	turns []time.Time
}

func newFlapper(limit time.Duration) *flapper {
	f := &flapper{id: health.ID{Service: "a", Instance: "1"}, now: transcript.T0, mesh: New(health.MeshPolicy{FlapMax: limit}, 7, transcript.T0)}
	f.mesh.Apply(nil, transcript.T0, &Event{Kind: EventRegister, ID: f.id, Lease: 1, Spec: &health.Spec{Lease: 1, Static: true}})
	f.says(health.Serving)
	return f
}

func (f *flapper) says(s health.Status) {
	if n := len(f.said); n > 1 && s != f.said[n-1] {
		// The first step counts as one for the better.
		if s.WorseThan(f.said[n-1]) != f.said[n-1].WorseThan(f.lastOther()) {
			f.turns = append(f.turns, f.now)
		}
	} else if n == 1 && s != f.said[0] {
		f.turns = append(f.turns, f.now)
	}
	f.said, f.steps = append(f.said, s), append(f.steps, f.now)
	f.mesh.Apply(nil, f.now, reportOf(f.id, s))
}

// lastOther returns the last status that differs from the present one.
func (f *flapper) lastOther() health.Status {
	last := f.said[len(f.said)-1]
	for i := len(f.said) - 1; i >= 0; i-- {
		if f.said[i] != last {
			return f.said[i]
		}
	}
	return health.NotServing // the first step is for the better
}

func (f *flapper) wait(d time.Duration) error {
	for end := f.now.Add(d); ; {
		next, ok := f.mesh.Deadline()
		if !ok || next.After(end) {
			f.now = end
			return f.check()
		}
		f.now = next
		f.mesh.Tick(nil, next)
		if err := f.check(); err != nil {
			return err
		}
	}
}

// check compares the published state with all reported statuses.
func (f *flapper) check() error {
	s, _ := f.mesh.State(f.id)
	said := f.said[len(f.said)-1]
	held := s.Cause == health.CauseFlapping
	most, limit := 0.0, f.mesh.policy.FlapMax
	for i, at := range f.turns {
		// The penalty is at most the sum of all flips at the time of the last one.
		sum := 0.0
		for _, before := range f.turns[:i+1] {
			sum += 1000 * math.Exp2(-at.Sub(before).Seconds()/60)
		}
		if f.now.Sub(at) <= limit {
			most = max(most, sum)
		}
	}
	switch {
	case !held && s.Status != said:
		return fmt.Errorf("%s is published, %s was said", s.Status, said)
	case said.WorseThan(s.Status):
		return fmt.Errorf("%s is held, %s was said: that is worse", s.Status, said)
	case held && most < 3000:
		return fmt.Errorf("held, with a penalty of %.0f at most", most)
	case held && f.now.Sub(f.turns[len(f.turns)-1]) > limit:
		return fmt.Errorf("held, and quiet for %v", f.now.Sub(f.turns[len(f.turns)-1]))
	case held && !f.saidWithin(s.Status, limit):
		return fmt.Errorf("%s is held, and was not said in the last %v", s.Status, limit)
	}
	return nil
}

// saidWithin reports whether s was reported, or still held, within the last d.
func (f *flapper) saidWithin(s health.Status, d time.Duration) bool {
	for i := range f.said {
		if f.said[i] == s && (i == len(f.said)-1 || f.now.Sub(f.steps[i+1]) <= d) {
			return true
		}
	}
	return false
}

// TestDamping checks that a suppressed status is never better than the reported one. The
// suppression must have a reason, and must end in time.
func TestDamping(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	holds := 0
	for range 600 {
		f := newFlapper([]time.Duration{20 * time.Second, 2 * time.Minute, 10 * time.Minute}[random.IntN(3)])
		pace := time.Duration(1+random.IntN(60)) * time.Second
		for range 40 {
			f.says([]health.Status{health.Serving, health.Degraded, health.NotServing, health.Unknown, health.Starting, health.Draining}[random.IntN(6)])
			if err := f.wait(time.Duration(random.Int64N(int64(pace)))); err != nil {
				t.Fatalf("at %v, after %v: %v", f.now.Sub(transcript.T0), f.said, err)
			}
			if s, _ := f.mesh.State(f.id); s.Cause == health.CauseFlapping {
				holds++
			}
		}
		if err := f.wait(10 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if s, _ := f.mesh.State(f.id); s.Status != f.said[len(f.said)-1] {
			t.Fatalf("after ten quiet minutes: %+v", s)
		}
	}
	if holds == 0 {
		t.Error("nothing was ever held")
	}
}
