package wire

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns text from outside as it may be shown and stored: at most
// MaxText bytes, valid UTF-8, each control or bidirectional character replaced
// by a space.
func Clean(text string) string { return CleanTo(text, MaxText) }

// CleanTo is Clean with another limit.
func CleanTo(text string, limit int) string {
	text = cut(text, limit)
	if plain(text) {
		return text
	}
	// Cut again: a replacement character is longer than what it replaces.
	return cut(strings.Map(printable, strings.ToValidUTF8(text, "\uFFFD")), limit)
}

// cut shortens text to limit bytes without splitting a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	dots := "…"
	if limit < len(dots) {
		dots = ""
	}
	end := limit - len(dots)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + dots
}

// plain reports whether text is printable ASCII, as most is.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func printable(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
		return ' '
	}
	return r
}
