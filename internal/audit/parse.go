package audit

import (
	"strconv"
	"strings"
	"time"
)

// parser reads a line in exactly the form that Line.encode writes. A parser of JSON would also accept
// other forms, and is ten times slower.
type parser struct {
	rest string
	bad  bool // true after the first fault
}

// line reads the fields behind the version.
func (p *parser) line() (l Line) {
	p.expect(`,"n":`)
	l.Number = p.number()
	l.Time = p.time()
	l.Kind = Kind(p.field(`,"kind":"`, true))
	l.Identity = p.field(`,"identity":"`, false)
	l.Source = Source(p.field(`,"source":"`, true))
	l.Peer = p.field(`,"peer":"`, false)
	l.Verb = p.field(`,"verb":"`, false)
	l.Object = p.field(`,"object":"`, false)
	l.Detail = p.field(`,"detail":"`, false)
	l.Rule = p.field(`,"rule":"`, true)
	l.Outcome = Outcome(p.field(`,"outcome":"`, true))
	l.Request = p.field(`,"request":"`, false)
	if p.literal(`,"count":`) {
		l.Count = p.number()
		p.require(l.Count > 0)
	}
	prev := p.field(`,"prev":"`, true)
	var err error
	l.Prev, err = ParseHash(prev)
	p.require(err == nil && l.Prev.String() == prev)
	return l
}

// done reports whether everything was read without a fault.
func (p *parser) done() bool { return !p.bad && len(p.rest) == 0 }

func (p *parser) require(is bool) { p.bad = p.bad || !is }

// literal reads a text, if it is next.
func (p *parser) literal(text string) bool {
	if len(p.rest) < len(text) || p.rest[:len(text)] != text {
		return false
	}
	p.rest = p.rest[len(text):]
	return true
}

func (p *parser) expect(text string) { p.require(p.literal(text)) }

// number reads a number without leading zeros.
func (p *parser) number() uint64 {
	n := 0
	for n < len(p.rest) && '0' <= p.rest[n] && p.rest[n] <= '9' {
		n++
	}
	value, err := strconv.ParseUint(p.rest[:n], 10, 64)
	p.require(err == nil && (n == 1 || p.rest[0] != '0'))
	p.rest = p.rest[n:]
	return value
}

func (p *parser) time() time.Time {
	text := p.field(`,"time":"`, true)
	at, err := time.Parse(timeForm, text)
	p.require(err == nil && at.Format(timeForm) == text)
	return at
}

// field reads a field with a text that is not empty, if the field is next. The head has its name and
// what is around it.
func (p *parser) field(head string, required bool) string {
	if !p.literal(head) {
		p.require(!required)
		return ""
	}
	text := p.text()
	p.require(text != "")
	return text
}

// text reads a text up to the quote at its end. Only a quote and a backslash are escaped in it.
func (p *parser) text() string {
	var clean []byte
	for {
		n := strings.IndexAny(p.rest, `"\\`)
		if n < 0 || p.rest[n] == '\\' && n+1 == len(p.rest) {
			p.bad = true
			return ""
		}
		escaped := p.rest[n] == '\\'
		if !escaped && clean == nil {
			text := p.rest[:n]
			p.rest = p.rest[n+1:]
			return text
		}
		clean = append(clean, p.rest[:n]...)
		if !escaped {
			p.rest = p.rest[n+1:]
			return string(clean)
		}
		next := p.rest[n+1]
		p.require(next == '"' || next == '\\')
		clean = append(clean, next)
		p.rest = p.rest[n+2:]
	}
}
