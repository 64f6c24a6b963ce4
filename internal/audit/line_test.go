package audit

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 123456789, time.UTC)

// TestLine compares a line with its whole text.
func TestLine(t *testing.T) {
	r := record("payments")
	l := newLine(&r, noon.In(time.FixedZone("", 3600)), 7, Hash{1})
	want := `{"v":1,"n":7,"time":"2026-12-01T12:00:00.123Z","kind":"write","identity":"spiffe://example.org/ns/prod/sa/ops",` +
		`"source":"certificate","peer":"10.0.0.7:41234","verb":"override","object":"payments",` +
		`"detail":"MAINTENANCE, \"disk is replaced\", until 2026-12-01T06:00:00Z","rule":"operators","outcome":"accepted",` +
		`"request":"4f2a","prev":"01` + strings.Repeat("0", 62) + `","crc":"b1388c07"}`
	if l.Text != want {
		t.Errorf("got\n%s\nwant\n%s", l.Text, want)
	}
	if got, err := parseLine([]byte(want)); err != nil || got != l {
		t.Errorf("parsed: %+v, %v; want %+v", got, err, l)
	}
}

// TestParseLine has lines that the log does not write. Each has a checksum that fits, unless it says
// that it has none.
func TestParseLine(t *testing.T) {
	r := record("payments")
	l := newLine(&r, noon, 7, Hash{1})
	body := l.Text[:len(l.Text)-sealLen]
	replaced := func(old, text string) string {
		changed := strings.Replace(body, old, text, 1)
		if changed == body {
			t.Fatalf("%q is not in the line", old)
		}
		return string(sealed([]byte(changed)))
	}
	for name, c := range map[string]struct{ text, why string }{
		"empty":            {"", "checksum"},
		"no checksum":      {body + "}", "checksum"},
		"changed":          {strings.Replace(l.Text, "payments", "paymentz", 1), "checksum"},
		"upper case":       {strings.Replace(l.Text, `"crc":"`, `"CRC":"`, 1), "checksum"},
		"newer":            {replaced(`{"v":1`, `{"v":2`), "newer release"},
		"older":            {replaced(`{"v":1`, `{"v":0`), "form"},
		"unknown key":      {replaced(`"kind"`, `"x":1,"kind"`), "form"},
		"other order":      {replaced(`"n":7,"time":"2026-12-01T12:00:00.123Z"`, `"time":"2026-12-01T12:00:00.123Z","n":7`), "form"},
		"a key twice":      {replaced(`"n":7`, `"n":6,"n":7`), "form"},
		"a key in capital": {replaced(`"verb"`, `"Verb"`), "form"},
		"a space":          {replaced(`"n":7`, `"n": 7`), "form"},
		"number 0":         {replaced(`"n":7`, `"n":0`), "form"},
		"a large number":   {replaced(`"n":7`, `"n":18446744073709551616`), "form"},
		"other kind":       {replaced(`"kind":"write"`, `"kind":"read"`), "form"},
		"other source":     {replaced(`"certificate"`, `"rumour"`), "form"},
		"other outcome":    {replaced(`"accepted"`, `"fine"`), "form"},
		"no rule":          {replaced(`"rule":"operators",`, ``), "form"},
		"other time":       {replaced(`.123Z`, `.123456Z`), "form"},
		"no such day":      {replaced(`2026-12-01T12`, `2026-02-30T12`), "form"},
		"short hash":       {replaced(`"prev":"01`, `"prev":"1`), "form"},
		"a control":        {replaced(`payments`, `pay\u001bments`), "form"},
		"a raw control":    {replaced(`payments`, "pay\x1bments"), "object"},
		"a slash escaped":  {replaced(`payments`, `pay\/ments`), "form"},
		"an open escape":   {replaced(`,"prev":"01`+strings.Repeat("0", 62)+`"`, `,"prev":"\`), "form"},
		"an empty text":    {replaced(`"verb":"override"`, `"verb":""`), "form"},
		"a comma in time":  {replaced(`.123Z`, `,123Z`), "form"},
		"hash in capitals": {replaced(`"prev":"01`, `"prev":"0A`), "form"},
		"count 0":          {replaced(`,"prev"`, `,"count":0,"prev"`), "form"},
		"leading zero":     {replaced(`"n":7`, `"n":07`), "form"},
		"turned text":      {replaced(`payments`, "pay\u202ements"), "object"},
		"not UTF-8":        {replaced(`payments`, "pay\xffments"), "object"},
		"a long verb":      {replaced(`override`, strings.Repeat("x", 33)), "verb"},
		"a long line":      {replaced(`override`, strings.Repeat("x", maxLine)), "longer than"},
		"no JSON":          {string(sealed([]byte(`{"v":1`))) + "}", "checksum"},
		"no object":        {string(sealed([]byte(`[1`))), "form"},
	} {
		if _, err := parseLine([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", name, err, c.why)
		}
	}
}

// TestCleaned checks the texts that a line has.
func TestCleaned(t *testing.T) {
	long := strings.Repeat("x", 2000)
	r := Record{Identity: "a\x1b[31m\u202eb\xff", Verb: long, Object: long + "1", Detail: strings.Repeat(`"`, 2000)}.cleaned()
	if r.Identity != "a [31m b\uFFFD" {
		t.Errorf("identity %q", r.Identity)
	}
	if r.Rule != NoRule {
		t.Errorf("rule %q", r.Rule)
	}
	for _, text := range r.texts() {
		if n := escapedLen(*text.value); n > text.limit {
			t.Errorf("%s: %d bytes in JSON; allowed: %d", text.field, n, text.limit)
		}
	}
	if other := fit(long+"2", maxObject); other == r.Object || other[:1000] != r.Object[:1000] {
		t.Errorf("two long objects become one: %q", other)
	}
}

// TestLongestLine: the longest texts that JSON can need still fit into a line.
func TestLongestLine(t *testing.T) {
	for _, text := range []string{`"`, `\`, "\xff", "\u202e", "\x00", "é", "\U0001F600", "<&\u2028"} {
		r := Record{Kind: Removed, Source: Coordinator, Outcome: Unauthenticated, Count: ^uint64(0)}
		for _, field := range r.texts() {
			*field.value = strings.Repeat(text, maxLine)
		}
		r = r.cleaned()
		l := newLine(&r, noon, ^uint64(0), Hash{0xff})
		if len(l.Text) >= maxLine || !utf8.ValidString(l.Text) {
			t.Errorf("%q: the line has %d bytes", text, len(l.Text))
		}
		if got, err := parseLine([]byte(l.Text)); err != nil || got != l {
			t.Errorf("%q: %v, %+v", text, err, got)
		}
	}
}

// FuzzParseLine checks that a line that is accepted is exactly what the log writes, and that every
// record has a line that is accepted.
func FuzzParseLine(f *testing.F) {
	r := record("payments")
	l := newLine(&r, noon, 7, Hash{1})
	f.Add(l.Text, "a\x1b\xff", uint64(1))
	f.Add(strings.Replace(l.Text, `"n":7`, `"n":07`, 1), strings.Repeat(`\`, 600), uint64(0))
	f.Add(string(sealed([]byte(`{"v":1`))), "", uint64(9))
	f.Fuzz(func(t *testing.T, text, part string, n uint64) {
		if l, err := parseLine([]byte(text)); err == nil && string(l.encode()) != text {
			t.Errorf("accepted, but not what the log writes: %q", text)
		}
		if len(text) > sealLen { // the same with a checksum that fits
			text = string(sealed([]byte(text[:len(text)-sealLen])))
			if l, err := parseLine([]byte(text)); err == nil && string(l.encode()) != text {
				t.Errorf("accepted, but not what the log writes: %q", text)
			}
		}
		r := Record{Kind: Write, Identity: part, Source: Token, Verb: part, Object: part, Detail: part, Outcome: Accepted, Count: n}.cleaned()
		l := newLine(&r, noon, n|1, Hash{byte(n)})
		if got, err := parseLine([]byte(l.Text)); err != nil || got != l || strings.ContainsAny(l.Text, "\n\r\x00\x1b") {
			t.Errorf("%q: %v", l.Text, err)
		}
	})
}
