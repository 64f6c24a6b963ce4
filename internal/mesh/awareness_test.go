package mesh

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// TestAwareness checks that the score is raised by lateness, stays from 0 to 7, and falls by
// one in each decayTime.
func TestAwareness(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		m, now := New(health.MeshPolicy{}, 7, transcript.T0), transcript.T0
		want, last := 0, transcript.T0
		for range 60 {
			now = now.Add(time.Duration(random.IntN(20)) * time.Second)
			m.Tick(nil, now)
			want, last = fallen(want, last, now)
			if random.IntN(2) == 0 {
				m.Forgive(0)
				want, last = min(7, want+1), now
			}
			if got := m.Score(); got != want {
				t.Fatalf("at %v: %d, want %d", now.Sub(transcript.T0), got, want)
			}
			if p := m.patience(); p < 15*time.Second || p > 30*time.Second {
				t.Fatalf("score %d waits %v", want, p)
			}
		}
	}
}

// fallen lowers a score by one for each whole decayTime since last.
func fallen(score int, last, now time.Time) (int, time.Time) {
	for score > 0 && now.Sub(last) >= decayTime {
		score, last = score-1, last.Add(decayTime)
	}
	return score, last
}
