package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeForms are the forms of a time on the command line. A time without a zone is local.
var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05", stamp, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// maxAgo is the longest time ago that parseTime accepts.
const maxAgo = 100 * 366 * 24 * time.Hour

// parseTime parses a time, or a time ago such as 15m or 3d4h. An empty text gives the zero time.
func parseTime(text string, now time.Time, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, ok := parseAgo(text); ok {
		return now.Add(-ago), nil
	}
	for _, form := range timeForms {
		if t, err := time.ParseInLocation(form, text, zone); err == nil && t.Year() >= 1970 {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(`is %q; allowed: a time such as 2026-03-04T12:00:00Z or "2026-03-04 12:00", or a time ago such as 15m or 2d`, text)
}

// parseAgo parses a duration, which may begin with a number of days.
func parseAgo(text string) (ago time.Duration, ok bool) {
	if days, rest, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, false
		}
		ago, text = time.Duration(n)*24*time.Hour, rest
		if rest == "" {
			return ago, ago <= maxAgo
		}
	}
	d, err := time.ParseDuration(text)
	return ago + d, err == nil && d >= 0 && ago <= maxAgo && d <= maxAgo
}
