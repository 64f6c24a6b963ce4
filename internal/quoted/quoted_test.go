package quoted

import "testing"

// FuzzText checks that each value can be read back from its form, and that the closing quote is found.
func FuzzText(f *testing.F) {
	for _, value := range []string{"", "a", "a,b", `"`, `"a"`, `""`, `a"b,c`, `",`, "ä,ö"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text := Text(value)
		if got := Value(text); got != value {
			t.Errorf("%q: %q", text, got)
		}
		if text != value && Len(text[1:]) != len(text)-1 {
			t.Errorf("%q: the closing quote is at %d", text, Len(text[1:]))
		}
	})
}

func TestLen(t *testing.T) {
	for text, want := range map[string]int{``: 1, `a`: 2, `"`: 1, `a"`: 2, `a""`: 4, `a"",b"c`: 6} {
		if got := Len(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
