package quoted

import "strings"

// Text returns a value in the form that it has in a scope or a filter.
func Text(value string) string {
	if !strings.Contains(value, ",") && !strings.HasPrefix(value, `"`) {
		return value
	}
	return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
}

// Value returns the value whose form is text. A text without quotes around it is the value.
func Value(text string) string {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return text
	}
	return strings.ReplaceAll(text[1:len(text)-1], `""`, `"`)
}

// Len returns the number of bytes of a text up to and including its closing quote. The opening quote
// is not a part of text. If text has no closing quote, the result is larger than the length of text.
func Len(text string) int {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '"':
		case i+1 < len(text) && text[i+1] == '"':
			i++
		default:
			return i + 1
		}
	}
	return len(text) + 1
}
