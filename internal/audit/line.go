package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxLine is the largest number of bytes of a line with its line end.
const maxLine = 4096

// version is the version of the form of a line.
const version = 1

// Hash is the SHA-256 of a line without its line end.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash parses the result of String.
func ParseHash(text string) (Hash, error) {
	var h Hash
	if n, err := hex.Decode(h[:], []byte(text[:min(len(text), 2*len(h))])); err != nil || n != len(h) || len(text) != 2*len(h) {
		return h, fmt.Errorf("is %q; allowed: the %d hexadecimal digits of a SHA-256", wire.Clean(text), 2*len(h))
	}
	return h, nil
}

// Line is one line of a log.
type Line struct {
	Record
	Number uint64 // number of the line in its chain; the first line has the number 1
	Time   time.Time
	Prev   Hash // hash of the line before it; zero for the first line
	Hash   Hash
	Text   string // the line without its line end
}

// lineJSON has the fields of a line in their order. The checksum follows them.
type lineJSON struct {
	Version  int     `json:"v"`
	Number   uint64  `json:"n"`
	Time     string  `json:"time"`
	Kind     Kind    `json:"kind"`
	Identity string  `json:"identity,omitempty"`
	Source   Source  `json:"source"`
	Peer     string  `json:"peer,omitempty"`
	Verb     string  `json:"verb,omitempty"`
	Object   string  `json:"object,omitempty"`
	Detail   string  `json:"detail,omitempty"`
	Rule     string  `json:"rule"`
	Outcome  Outcome `json:"outcome"`
	Request  string  `json:"request,omitempty"`
	Count    uint64  `json:"count,omitempty"`
	Prev     string  `json:"prev"`
}

// timeForm is RFC 3339 in UTC with milliseconds.
const timeForm = "2006-01-02T15:04:05.000Z"

// newLine makes the line for a cleaned record.
func newLine(r *Record, at time.Time, number uint64, prev Hash) Line {
	l := Line{Record: *r, Number: number, Time: at.UTC().Truncate(time.Millisecond), Prev: prev}
	text := l.encode()
	l.Text, l.Hash = string(text), sha256.Sum256(text)
	return l
}

// encode returns the text of the line.
func (l *Line) encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(&lineJSON{ // numbers and texts always have a JSON form, and a buffer takes all
		version, l.Number, l.Time.Format(timeForm), l.Kind, l.Identity, l.Source, l.Peer, l.Verb, l.Object,
		l.Detail, l.Rule, l.Outcome, l.Request, l.Count, l.Prev.String(),
	})
	return sealed(bytes.TrimSuffix(b.Bytes(), []byte("}\n")))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealed returns a text with the end of a line, which has the checksum of the text.
func sealed(text []byte) []byte {
	return fmt.Appendf(text, `,"crc":"%08x"}`, crc32.Checksum(text, castagnoli))
}

// sealLen is the number of bytes that sealed adds.
const sealLen = len(`,"crc":"01234567"}`)

var (
	errLong     = fmt.Errorf("is longer than %d bytes, so the log has not written it", maxLine)
	errChecksum = errors.New("was changed: its checksum does not match")
	errForm     = errors.New("was changed: it is not in the form that the log writes")
)

// parseLine parses a line without its line end. A text that the log could not have written is
// refused.
func parseLine(text []byte) (Line, error) {
	switch {
	case len(text) >= maxLine:
		return Line{}, errLong
	case len(text) < sealLen || !bytes.Equal(sealed(bytes.Clone(text[:len(text)-sealLen])), text):
		return Line{}, errChecksum
	}
	var j lineJSON
	if err := json.Unmarshal(append(bytes.Clone(text[:len(text)-sealLen]), '}'), &j); err != nil {
		return Line{}, errForm
	}
	if j.Version > version {
		return Line{}, fmt.Errorf("was written by a newer release, in version %d of its form; use that release", j.Version)
	}
	return j.line(text)
}

// line checks all values, and that the text is what the log writes for them.
func (j *lineJSON) line(text []byte) (Line, error) {
	at, errTime := time.Parse(timeForm, j.Time)
	prev, errHash := ParseHash(j.Prev)
	l := Line{
		Record: Record{
			j.Kind, j.Identity, j.Source, j.Peer, j.Verb, j.Object, j.Detail, j.Rule, j.Outcome, j.Request, j.Count,
		},
		Number: j.Number, Time: at, Prev: prev, Hash: sha256.Sum256(text), Text: string(text),
	}
	for _, t := range l.texts() {
		if escapedLen(*t.value) > t.limit || wire.CleanTo(*t.value, t.limit) != *t.value {
			return Line{}, fmt.Errorf("%w (%s)", errForm, t.field)
		}
	}
	if errTime != nil || errHash != nil || l.check() != nil || l.Number == 0 || !bytes.Equal(l.encode(), text) {
		return Line{}, errForm
	}
	return l, nil
}
