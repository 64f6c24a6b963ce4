package late

import (
	"testing"
	"time"
)

// TestBy tests that a delay counts once it is longer than the slack.
func TestBy(t *testing.T) {
	planned := time.Now()
	for delay, want := range map[time.Duration]time.Duration{
		-time.Hour: 0, 0: 0, Slack: 0, Slack + 1: Slack + 1, time.Hour: time.Hour,
	} {
		if got := By(planned, planned.Add(delay)); got != want {
			t.Errorf("delay %v: late by %v, want %v", delay, got, want)
		}
	}
	if got := By(time.Time{}, planned); got != 0 {
		t.Errorf("late by %v without a plan", got)
	}
}

// TestPart tests which part of a wait overlaps the remembered periods of lateness.
func TestPart(t *testing.T) {
	now := time.Now()
	at := func(s time.Duration) time.Time { return now.Add(s * time.Second) }
	var s Spans
	if s.Part(now) != 0 || s.Part(time.Time{}) != 0 {
		t.Error("the zero value reports lateness")
	}
	s.Note(at(1), at(10))
	s.Note(at(16), at(18))
	for since, want := range map[time.Duration]time.Duration{-3600: 11, 1: 11, 9: 3, 10: 2, 17: 1, 18: 0, 60: 0} {
		if got := s.Part(at(since)); got != want*time.Second {
			t.Errorf("late part of a wait since second %d: %v, want %d s", since, got, want)
		}
	}
	if s.Part(time.Time{}) != 0 {
		t.Error("the zero time has a late part")
	}
	for i := range time.Duration(3 * maxSpans) {
		s.Note(at(100+2*i), at(101+2*i))
	}
	if got := s.Part(now); len(s.spans) != maxSpans || got != maxSpans*time.Second {
		t.Errorf("%d periods are remembered with %v in all, want %d of 1 s", len(s.spans), got, maxSpans)
	}
}
