package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
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
	return appendSeal(text, text)
}

// appendSeal appends to b the end of a line that begins with text.
func appendSeal(b, text []byte) []byte {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(text, castagnoli))
	b = append(b, sealHead...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, sealTail...)
}

// isSealed reports whether a text has this end.
func isSealed(text, end []byte) bool {
	var want [sealLen]byte
	return bytes.Equal(appendSeal(want[:0], text), end)
}

// The end of a line is between sealHead and sealTail: 8 hexadecimal digits.
const (
	sealHead = `,"crc":"`
	sealTail = `"}`
	sealLen  = len(sealHead) + 8 + len(sealTail) // bytes that sealed adds
)

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
	case len(text) < sealLen || !isSealed(text[:len(text)-sealLen], text[len(text)-sealLen:]):
		return Line{}, errChecksum
	}
	whole := string(text)
	p := parser{rest: whole[:len(whole)-sealLen]}
	p.expect(`{"v":`)
	v := p.number()
	if v > version {
		return Line{}, fmt.Errorf("was written by a newer release, in version %d of its form; use that release", v)
	}
	l := p.line()
	if v != version || !p.done() || l.check() != nil || l.Number == 0 {
		return Line{}, errForm
	}
	for _, t := range l.texts() {
		if escapedLen(*t.value) > t.limit || wire.CleanTo(*t.value, t.limit) != *t.value {
			return Line{}, fmt.Errorf("%w (%s)", errForm, t.field)
		}
	}
	l.Hash, l.Text = sha256.Sum256(text), whole
	return l, nil
}
