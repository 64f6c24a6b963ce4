package watch

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWheelDoubtfulAreAsked: who missed one Check is asked again, however much
// those who answer keep us busy.
func TestWheelDoubtfulAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, time.Second)
		for range 3 * maxPolls { // half as much again as fits
			a.add(500 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		f := &fake{a: a, doubt: true}
		f.spoke = newSpoke(f)
		a.w.add(f.spoke)
		time.Sleep(time.Minute)
		if n := len(f.times()); n < 10 {
			t.Errorf("asked %d times in a minute", n)
		}
	})
}

// renaming is not known by its first name.
type renaming struct {
	*fake
	asked bool
}

func (f *renaming) ask() next {
	if !f.asked {
		f.asked = true
		time.Sleep(f.takes)
		return next{after: true}
	}
	return f.fake.ask()
}

// TestWheelSecondName: that a target took its time to say that it does not know
// the first name is no lateness of ours.
func TestWheelSecondName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, 5*time.Second)
		for range 10 {
			f := &fake{a: a, takes: 2 * time.Second}
			f.spoke = newSpoke(&renaming{fake: f})
			a.w.add(f.spoke)
		}
		time.Sleep(5 * time.Second)
		if c := a.w.covered(time.Now()); c < 0.99 {
			t.Errorf("covered %.2f, though all were asked in time", c)
		}
	})
}
