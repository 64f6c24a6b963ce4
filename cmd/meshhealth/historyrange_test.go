package main

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("here", 3600)
	for text, want := range map[string]time.Time{
		"":                          {},
		"15m":                       noon.Add(-15 * time.Minute),
		"2d":                        noon.AddDate(0, 0, -2),
		"2d4h30m":                   noon.AddDate(0, 0, -2).Add(-4*time.Hour - 30*time.Minute),
		"0s":                        noon,
		"2026-03-04T11:00:00Z":      noon.Add(-time.Hour),
		"2026-03-04T12:00:00+01:00": noon.Add(-time.Hour),
		"2026-03-04T12:00:00":       noon.Add(-time.Hour),
		"2026-03-04 12:00:00.5":     noon.Add(-time.Hour + time.Second/2),
		"2026-03-04 12:00":          noon.Add(-time.Hour),
		"2026-03-04":                noon.Add(-13 * time.Hour),
	} {
		if got, err := parseTime(text, noon, zone); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"noon", "-5m", "5", "d", "1.5d", "2d-4h", "70000d", "12:00", "1969-12-31", "2026-02-30"} {
		if got, err := parseTime(text, noon, zone); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
