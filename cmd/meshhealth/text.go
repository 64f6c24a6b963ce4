package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"
)

// columnsOf returns the width of a text on a terminal, in columns. Some characters need two columns.
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

// cutColumns shortens a text to at most limit columns. A text that it has shortened ends with dots.
func cutColumns(text string, limit int, dots string) string {
	if columnsOf(text) <= limit {
		return text
	}
	if limit -= columnsOf(dots); limit < 0 {
		return ""
	}
	for i, r := range text {
		if limit -= columnsOfRune(r); limit < 0 {
			return strings.TrimRight(text[:i], " ") + dots
		}
	}
	return text
}

// escapes matches the styles with which a pen paints.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// unpainted returns a text without the styles with which a pen has painted it.
func unpainted(text string) string { return escapes.ReplaceAllString(text, "") }

// columnsOfPainted returns the width of a text that a pen may have painted.
func columnsOfPainted(text string) int { return columnsOf(unpainted(text)) }

// cutMiddle shortens a text to at most limit columns. Of a text that it has shortened, the beginning
// and the end remain, with dots between them. In a name, the end is often what differs.
func cutMiddle(text string, limit int, dots string) string {
	if columnsOf(text) <= limit {
		return text
	}
	rest := limit - columnsOf(dots)
	tail, runes := rest/2, []rune(text)
	i := len(runes)
	for width := 0; i > 0 && width+columnsOfRune(runes[i-1]) <= tail; i-- {
		width += columnsOfRune(runes[i-1])
	}
	end := string(runes[i:])
	return cutColumns(text, limit-columnsOf(end), dots) + end
}

// pad adds spaces at the end of a text until its width is columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-columnsOf(text)))
}

// age formats a duration with at most two units: 12s, 2m14s, 3h5m, 6d4h.
func age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	for _, u := range []struct {
		big, small         int64
		bigName, smallName string
	}{{86400, 3600, "d", "h"}, {3600, 60, "h", "m"}, {60, 1, "m", "s"}} {
		switch rest := s % u.big / u.small; {
		case s < u.big:
		case rest == 0:
			return fmt.Sprintf("%d%s", s/u.big, u.bigName)
		default:
			return fmt.Sprintf("%d%s%d%s", s/u.big, u.bigName, rest, u.smallName)
		}
	}
	return fmt.Sprintf("%ds", s)
}

// plural returns a number with its noun, as in "1 instance" and "2 instances".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// alternatives returns names as a list of alternatives, such as "a", "a or b", and "a, b or c".
func alternatives(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
