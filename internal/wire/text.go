package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns untrusted text in a form that can be shown and stored: valid UTF-8 of at
// most MaxText bytes. A space replaces each control or bidirectional character.
func Clean(text string) string { return CleanTo(text, MaxText) }

// CheckText returns an error if a text must not be stored. The text must be valid UTF-8, have from
// minimum to maximum bytes, and contain no character that Clean would replace.
func CheckText(text string, minimum, maximum int) error {
	n := len(text)
	if n >= minimum && n <= maximum && plain(text) {
		return nil
	}
	allowed := fmt.Sprintf("%d to %d bytes of printable UTF-8", minimum, maximum)
	if minimum == 0 {
		allowed = fmt.Sprintf("at most %d bytes of printable UTF-8", maximum)
	}
	if n < minimum || n > maximum {
		return fmt.Errorf("has %d bytes; allowed: %s", n, allowed)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("is %q, which is not valid UTF-8; allowed: %s", text, allowed)
	}
	for _, r := range text {
		if printable(r) != r {
			return fmt.Errorf("has control characters in it (%q); allowed: %s", r, allowed)
		}
	}
	return nil
}

// CleanTo works like Clean, but the result has at most limit bytes.
func CleanTo(text string, limit int) string {
	text = cut(text, limit)
	if plain(text) {
		return text
	}
	// A replacement character is longer than the byte that it replaces, so the text is cut
	// again.
	return cut(strings.Map(printable, strings.ToValidUTF8(text, "\uFFFD")), limit)
}

// cut shortens text to at most limit bytes without splitting a character.
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

// plain reports whether text is printable ASCII. Most texts are printable ASCII, and need no
// further cleaning.
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
