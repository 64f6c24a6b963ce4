package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/selector"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// redrawEvery is the shortest time between two writes of the status line without a new line above it.
// idleRedraw is the longest, because the line has ages.
const (
	redrawEvery = 100 * time.Millisecond
	idleRedraw  = time.Second
)

// watchView is what the command watch shows on a terminal: lines that scroll, and one status line
// below them. It computes what to write; the caller writes it. Time is a parameter.
type watchView struct {
	pen     pen
	zone    *time.Location
	columns int
	pace    pacer
	counts  statusCounts
	keys    keyState

	lines     []string  // finished lines that flush has not returned yet
	drawn     time.Time // when the status line was last written
	dirty     bool      // true if the status line may be out of date
	lostSince time.Time // zero while the coordinator can be reached
	revision  uint64
	lag       time.Duration // from the making of the latest entry until it was received; negative if not known
	mesh      *pb.Health    // latest entry of the mesh; nil if it is not watched
}

func newWatchView(p pen, zone *time.Location, columns int) *watchView {
	return &watchView{pen: p, zone: zone, columns: columns, lag: -1, dirty: true}
}

// note takes what the status line shows of an update.
func (v *watchView) note(u *client.Update) {
	v.dirty = true
	if u.Stale {
		if v.lostSince.IsZero() {
			v.lostSince = u.Received
		}
		return
	}
	v.lostSince = time.Time{}
	if u.Revision > 0 {
		v.revision = u.Revision
	}
	for _, e := range u.Entries {
		if e.ID == (health.ID{Service: health.MeshName}) {
			v.mesh = e.Proto()
		}
	}
	if n := len(u.Entries); n > 0 && !u.Snapshot && !u.Entries[n-1].At.IsZero() {
		v.lag = u.Received.Sub(u.Entries[n-1].At)
	}
}

// add shows a change, or counts it if there are too many changes. format is called only for a change
// that is shown.
func (v *watchView) add(l *watchLine, at time.Time, format func(*watchLine, time.Time) string) {
	v.dirty = true
	if !v.keys.matches(l.now) {
		return
	}
	v.settle(at)
	if v.pace.take(l, at, v.keys.paused) {
		v.print(format(l, at))
	}
	v.pace.format = format
}

// settle prints the summary of held changes if their second is over.
func (v *watchView) settle(now time.Time) {
	if v.keys.paused {
		return
	}
	if text, held := v.pace.settle(v.pen, v.zone, now); held {
		v.print(text)
	}
}

// print shows a finished line.
func (v *watchView) print(line string) { v.lines = append(v.lines, line) }

// message shows a message about the watch itself.
func (v *watchView) message(text string) { v.print(wire.CleanTo(text, maxShown)) }

// deadline returns when tick must be called next.
func (v *watchView) deadline(now time.Time) time.Time {
	next := v.drawn.Add(idleRedraw)
	if v.dirty {
		next = v.drawn.Add(redrawEvery)
	}
	if due := v.pace.due(); !v.keys.paused && !due.IsZero() && due.Before(next) {
		next = due
	}
	if next.Before(now) {
		return now
	}
	return next
}

// tick does what is due at a time.
func (v *watchView) tick(now time.Time) {
	v.settle(now)
	if !now.Before(v.drawn.Add(idleRedraw)) {
		v.dirty = true
	}
}

// key handles the bytes of one read from the keyboard. It returns true if the watch must end.
func (v *watchView) key(keys []byte, now time.Time) (quit bool) {
	wasPaused := v.keys.paused
	quit = v.keys.press(keys)
	v.dirty, v.drawn = true, time.Time{} // the answer to a key must not wait
	if wasPaused && !v.keys.paused {
		v.pace.end()
		v.settle(now)
	}
	return quit
}

// clearLine moves to the beginning of the line and clears it.
const clearLine = "\r\x1b[K"

// flush returns what to write to the terminal now. The terminal may be in raw mode, so that each line
// ends with a carriage return too.
func (v *watchView) flush(now time.Time) string {
	if len(v.lines) == 0 && (!v.dirty || now.Before(v.drawn.Add(redrawEvery))) {
		return ""
	}
	var b strings.Builder
	b.WriteString(clearLine)
	for _, line := range v.lines {
		b.WriteString(cutPainted(line, v.columns, v.pen.dots()) + "\r\n")
	}
	b.WriteString(v.statusLine(now))
	v.lines, v.dirty, v.drawn = nil, false, now
	return b.String()
}

// finish returns what to write at the end: the last lines, without a status line.
func (v *watchView) finish(now time.Time) string {
	v.pace.end()
	v.keys.paused = false
	v.settle(now)
	var b strings.Builder
	b.WriteString(clearLine)
	for _, line := range v.lines {
		b.WriteString(cutPainted(line, v.columns, v.pen.dots()) + "\r\n")
	}
	v.lines = nil
	return b.String()
}

// statusLine returns the line at the bottom. It leaves the last column free, because some terminals
// begin a new line after a character there.
func (v *watchView) statusLine(now time.Time) string {
	if v.keys.editing {
		return cutPainted(v.keys.prompt(), v.columns-1, v.pen.dots())
	}
	line := v.pen.choose("──", "--")
	for _, part := range v.statusParts(now) {
		if part == "" {
			continue
		}
		longer := line + gap + part
		if columnsOfPainted(longer) > v.columns-1 {
			continue
		}
		line = longer
	}
	return line
}

// statusParts returns the parts of the status line, the most important first. A part that does not
// fit is omitted.
func (v *watchView) statusParts(now time.Time) []string {
	parts := make([]string, 0, 12)
	if v.mesh != nil {
		c := v.pen.statusOf(v.mesh)
		parts = append(parts, v.pen.paint(c.style, c.text))
	}
	switch {
	case !v.lostSince.IsZero():
		parts = append(parts, v.pen.paint(bad, "lost for "+age(now.Sub(v.lostSince))))
	case v.keys.paused:
		parts = append(parts, v.pen.paint(warning, fmt.Sprintf("paused, %s", plural(v.pace.held.n, "change"))))
	default:
		parts = append(parts, "live")
	}
	parts = append(parts, v.counts.text(v.pen, v.columns >= 120))
	if n := v.counts.unconfirmed; n > 0 {
		parts = append(parts, fmt.Sprintf("%d ~", n))
	}
	if v.keys.text != "" {
		parts = append(parts, "/"+v.keys.text)
	}
	parts = append(parts, fmt.Sprintf("rev %d", v.revision))
	if v.lag >= 0 && v.lag < time.Hour {
		parts = append(parts, fmt.Sprintf("lag %v", brief(v.lag)))
	}
	return append(parts, v.pen.paint(faint, "q quit"), v.pen.paint(faint, "p pause"), v.pen.paint(faint, "/ filter"))
}

// statusCounts has the number of services by status, and the number of unconfirmed instances.
type statusCounts struct {
	services    [health.NumStatuses]int
	unconfirmed int
}

// update counts a change of an entry. before is nil if the name was not known.
func (c *statusCounts) update(before, now *pb.Health) {
	if before != nil {
		c.add(before, -1)
	}
	if !now.GetRemoved() {
		c.add(now, 1)
	}
}

func (c *statusCounts) add(h *pb.Health, n int) {
	switch {
	case h.GetService() == "" || h.GetService() == health.MeshName:
	case h.GetInstance() == "":
		if status, known := health.StatusFromWire(int32(h.GetStatus())); known {
			c.services[status] += n
		}
	case h.GetUnconfirmed() && !isZone(h):
		c.unconfirmed += n
	}
}

// text returns the counts, the worst status first. With words, each symbol has its status beside it.
func (c *statusCounts) text(p pen, words bool) string {
	var parts []string
	for _, s := range []health.Status{
		health.NotServing, health.Unknown, health.Degraded, health.Starting, health.Draining, health.Maintenance, health.Serving,
	} {
		n := c.services[s]
		if n == 0 {
			continue
		}
		mark := p.status(wire.Status(s))
		text := mark.text
		if !words {
			text, _, _ = strings.Cut(text, " ")
		}
		parts = append(parts, p.paint(mark.style, fmt.Sprintf("%d %s", n, text)))
	}
	return strings.Join(parts, " ")
}

// cutPainted cuts a text that a pen may have painted. A text that is cut loses its colours.
func cutPainted(text string, limit int, dots string) string {
	if columnsOfPainted(text) <= limit {
		return text
	}
	return cutColumns(unpainted(text), limit, dots)
}

// keyState is what the user has typed so far.
type keyState struct {
	paused   bool
	editing  bool   // true while the user types a filter
	typed    string // text of the filter that is being typed
	wrong    string // why the filter that was typed is wrong
	text     string // text of the present filter
	selector selector.Selector
}

// Bytes that keys send.
const (
	keyInterrupt = 3
	keyEndOfText = 4
	keyBackspace = 8
	keyEnter     = 13
	keyNewline   = 10
	keyKillLine  = 21
	keyEscape    = 27
	keyQuit      = 28
	keyDelete    = 127
)

// press handles the bytes of one read. A read that begins with an escape and has more bytes is a key
// without a meaning here, such as an arrow.
func (k *keyState) press(keys []byte) (quit bool) {
	if len(keys) > 1 && keys[0] == keyEscape {
		return false
	}
	for _, r := range string(keys) {
		switch {
		case r == keyInterrupt || r == keyEndOfText || r == keyQuit:
			return true
		case k.editing:
			k.edit(r)
		case r == 'q':
			return true
		case r == 'p' || r == ' ':
			k.paused = !k.paused
		case r == '/':
			k.editing, k.typed, k.wrong = true, k.text, ""
		case r == keyEscape:
			k.text, k.selector = "", selector.Selector{}
		}
	}
	return false
}

// maxTyped is the largest number of bytes of a filter that can be typed.
const maxTyped = 200

// edit handles one character while the user types a filter.
func (k *keyState) edit(r rune) {
	switch {
	case r == keyEscape:
		k.editing = false
	case r == keyEnter || r == keyNewline:
		s, err := selector.Parse(k.typed)
		if err != nil {
			k.wrong = err.Error()
			return
		}
		k.text, k.selector, k.editing = strings.TrimSpace(k.typed), s, false
	case r == keyKillLine:
		k.typed = ""
	case r == keyBackspace || r == keyDelete:
		if runes := []rune(k.typed); len(runes) > 0 {
			k.typed = string(runes[:len(runes)-1])
		}
	case r >= ' ' && len(k.typed) < maxTyped:
		k.typed += wire.Clean(string(r))
	}
	k.wrong = ""
}

// prompt returns the line in which the user types a filter.
func (k *keyState) prompt() string {
	text := "/" + k.typed
	if k.wrong != "" {
		text += gap + "(" + wire.Clean(k.wrong) + ")"
	}
	return text
}

// matches reports whether an entry matches the filter.
func (k *keyState) matches(h *pb.Health) bool {
	if k.selector.Empty() {
		return true
	}
	e := selectable(h)
	return k.selector.Matches(&e)
}
