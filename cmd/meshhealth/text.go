package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"
)

func splitLines(text string) []string { return strings.Split(text, "\n") }

func joinLines(lines []string) string { return strings.Join(lines, "\n") }

// columnsOf returns how many columns of a terminal a text takes.
func columnsOf(text string) int {
	n := 0
	for _, r := range text {
		n += columnsOfRune(r)
	}
	return n
}

func columnsOfRune(r rune) int {
	if r < 0x80 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cutColumns shortens a text to so many columns.
func cutColumns(text string, limit int, dots string) string {
	if columnsOf(text) <= limit {
		return text
	}
	limit -= columnsOf(dots)
	for i, r := range text {
		if limit -= columnsOfRune(r); limit < 0 {
			return strings.TrimRight(text[:i], " ") + dots
		}
	}
	return text
}

// age says how long something has lasted, with two units at most: 12s, 2m14s,
// 3h5m, 6d4h.
func age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	for _, u := range []struct {
		big, small       int64
		bigName, smaller string
	}{{86400, 3600, "d", "h"}, {3600, 60, "h", "m"}, {60, 1, "m", "s"}} {
		switch rest := s % u.big / u.small; {
		case s < u.big:
		case rest == 0:
			return fmt.Sprintf("%d%s", s/u.big, u.bigName)
		default:
			return fmt.Sprintf("%d%s%d%s", s/u.big, u.bigName, rest, u.smaller)
		}
	}
	return fmt.Sprintf("%ds", s)
}

// plural counts things.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// nearest returns the candidate a mistyped word may have meant, "" if none is
// near enough.
func nearest(word string, candidates []string) string {
	best, least := "", len(word)/3+2
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+differ(a[i], b[j]))
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
