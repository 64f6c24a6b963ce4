package wire

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"plain", "dial tcp: refused", "dial tcp: refused"},
		{"other scripts", "Ünïcode 健康 👍", "Ünïcode 健康 👍"},
		{"control characters", "a\x00b\tc\nd\x1b[31me\x7ff\u0085g", "a b c d [31me f g"},
		{"bidirectional ones", "a\u202eb\u2066c\u200fd", "a b c d"},
		{"line separators", "a\u2028b\u2029c", "a b c"},
		{"wrong UTF-8", "a\xff\xfeb", "a\uFFFDb"},
		{"a replacement character", "a\uFFFDb", "a\uFFFDb"},
		{"at the limit", strings.Repeat("x", MaxText), strings.Repeat("x", MaxText)},
		{"over it", strings.Repeat("x", MaxText+1), strings.Repeat("x", MaxText-3) + "…"},
		{"over it, in Greek", strings.Repeat("ω", MaxText), strings.Repeat("ω", (MaxText-3)/2) + "…"},
	} {
		if got := Clean(c.text); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// A replacement character is longer than what it replaces.
func TestCleanKeepsTheLimit(t *testing.T) {
	for _, limit := range []int{0, 1, 2, 3, 4, 32, MaxText} {
		for _, text := range []string{
			strings.Repeat("a\xff", limit), strings.Repeat("\xff", limit+1), strings.Repeat("x", limit+1),
			strings.Repeat("👍", limit), strings.Repeat("\u202e", limit), "\xffxx",
		} {
			if got := CleanTo(text, limit); len(got) > limit || !utf8.ValidString(got) {
				t.Errorf("%.20q has %d bytes cleaned, allowed %d: %.40q", text, len(got), limit, got)
			}
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("", 8)
	f.Add("a\xffb\x1b[0m\u202e", 5)
	f.Add(strings.Repeat("a\xff", 40), 60)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < 0 || limit > 4*MaxText {
			limit = MaxText
		}
		got := CleanTo(text, limit)
		if len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("%q: %d bytes of %d: %q", text, len(got), limit, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Errorf("%q becomes %q", text, got)
		}
		if again := CleanTo(got, limit); again != got {
			t.Errorf("%q becomes %q, and that %q", text, got, again)
		}
	})
}

// TestCheckText agrees with Clean about what may be taken as it is, and says what is
// wrong with the rest.
func TestCheckText(t *testing.T) {
	for text, want := range map[string]string{
		"":          "",
		"a b~":      "",
		"größe":     "",
		"a\xff":     `is "a\xff", which is not valid UTF-8; allowed: at most 8 bytes of printable UTF-8`,
		"a\x00":     `has control characters in it ('\x00'); allowed: at most 8 bytes of printable UTF-8`,
		"a\u202e":   `has control characters in it ('\u202e'); allowed: at most 8 bytes of printable UTF-8`,
		"a\ufffd":   "",
		"aaaaaaaaa": "has 9 bytes; allowed: at most 8 bytes of printable UTF-8",
	} {
		got := ""
		if err := CheckText(text, 0, 8); err != nil {
			got = err.Error()
		}
		if got != want || (CleanTo(text, 8) == text) != (want == "") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if err := CheckText("", 1, 8); err == nil || err.Error() != "has 0 bytes; allowed: 1 to 8 bytes of printable UTF-8" {
		t.Error(err)
	}
}
