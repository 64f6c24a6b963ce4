package registry

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// sleeper is a log handler that blocks the goroutine that logs.
type sleeper struct {
	slog.Handler
	next time.Duration
}

func (s *sleeper) Enabled(context.Context, slog.Level) bool { return true }

func (s *sleeper) Handle(context.Context, slog.Record) error {
	d := s.next
	s.next = 0
	time.Sleep(d)
	return nil
}

// TestPauseWhileAwake: a pause during a step is noticed as well as one between two
// steps.
func TestPauseWhileAwake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &sleeper{Handler: slog.DiscardHandler}
		r := run(t, Config{Store: newDisk(), Logger: slog.New(log)})
		lease := r.register(leased("pay/a", "i")).Lease
		log.next = 10 * time.Second
		r.says("pay/a", lease, health.Serving)
		time.Sleep(12 * time.Second)
		if times, _ := r.Late(); times != 1 {
			t.Errorf("late %d times, want once", times)
		}
	})
}

// TestBeats: after a pause one heartbeat is sent, not one for each second.
func TestBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{Store: newDisk()})
		if times, last := r.Late(); times != 0 || !last.IsZero() {
			t.Errorf("late %d times, %v", times, last)
		}
		o := &owner{feed: r.Feed(), lastBeat: time.Now()}
		for after, want := range map[time.Duration]time.Duration{
			999 * time.Millisecond: 0, time.Second: time.Second, 10500 * time.Millisecond: 10 * time.Second,
		} {
			o.lastBeat = time.Now()
			began := o.lastBeat
			o.beat(began.Add(after))
			if got := o.lastBeat.Sub(began); got != want {
				t.Errorf("after %v the last beat is %v on, want %v", after, got, want)
			}
		}
	})
}
