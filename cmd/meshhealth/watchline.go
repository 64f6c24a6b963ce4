package main

import (
	"slices"
	"strings"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Widths of the columns in the output of the command watch. The widths are fixed, because a line is
// printed before the next lines are known.
const (
	statusColumns = len("X NOT_SERVING ~")
	beforeColumns = len("<- NOT_SERVING")
	causeColumns  = len("unimplemented")
	maxNameColumn = 48
)

// watchLine is one line in the output of a watch: a change, and the changes of aggregates that it
// has caused.
type watchLine struct {
	change
	effects []change
}

// widenNames makes the column of names wide enough for the name of h. It never makes the column
// narrower.
func (w *watchPrinter) widenNames(h *pb.Health) {
	w.nameWidth = max(w.nameWidth, min(columnsOf(nameOf(h)), maxNameColumn))
}

// Widths of a terminal below which a line has fewer columns.
const (
	withBefore = 100 // the status before the change
	withCause  = 80  // the cause, the milliseconds, and names of any length
)

// formatTime returns the time of a line.
func (w *watchPrinter) formatTime(at time.Time) string {
	format := "15:04:05.000"
	if w.narrower(withCause) {
		format = "15:04:05"
	}
	return w.pen.paint(faint, at.In(w.zone).Format(format))
}

// narrower reports whether lines are for a terminal with fewer columns.
func (w *watchPrinter) narrower(columns int) bool { return w.view != nil && w.view.columns < columns }

// format returns a line as text. at is the time that the line shows. Why the status is so comes last,
// because a terminal cuts the end of a line.
func (w *watchPrinter) format(l *watchLine, at time.Time) string {
	p, h := w.pen, l.now
	status := w.statusNow(h)
	why := strings.TrimSpace(w.formatRoot(l) + gap + whyBesideRoot(h))
	if effects := w.formatEffects(l.effects); effects != "" {
		why = strings.TrimSpace(why + " " + effects)
	}
	parts := []string{w.formatTime(at), p.paint(status.style, pad(status.text, statusColumns))}
	if w.started && !w.narrower(withBefore) {
		parts = append(parts, p.paint(faint, pad(w.formatBefore(l.change), beforeColumns)))
	}
	name := wire.CleanTo(nameOf(h), wire.MaxFullName)
	if w.narrower(withCause) {
		parts = append(parts, cutMiddle(name, leastName, p.dots()))
	} else {
		parts = append(parts, pad(name, w.nameWidth), pad(causeOf(h.GetCause()), causeColumns))
	}
	parts = append(parts, wire.CleanTo(why, maxShown))
	return strings.TrimRight(strings.Join(parts, gap), " ")
}

// formatRoot marks a symptom with its root. A root of the failure of others, or an instance of it, is
// marked with "root".
func (w *watchPrinter) formatRoot(l *watchLine) string {
	if root := l.now.GetRoot(); root != "" {
		return w.pen.choose("⤷", "<=") + " " + root
	}
	if l.now.GetAffected() > 0 || slices.ContainsFunc(l.effects, func(c change) bool { return c.now.GetAffected() > 0 }) {
		return "root"
	}
	return ""
}

// formatBefore returns the status before a change, followed by an arrow.
func (w *watchPrinter) formatBefore(c change) string {
	if !w.started || c.before == nil {
		return ""
	}
	before := c.before.GetStatus()
	// The entry of a removed name has the last status of the name. This status may not have been
	// printed yet.
	if c.now.GetRemoved() && c.now.GetStatus() != pb.Status_STATUS_SERVICE_UNKNOWN {
		before = c.now.GetStatus()
	}
	return w.pen.choose("←", "<-") + " " + word(w.pen.status(before))
}

// statusNow returns the table cell with the status of an entry, or with REMOVED.
func (w *watchPrinter) statusNow(h *pb.Health) cell {
	if h.GetRemoved() {
		return w.pen.removed()
	}
	return w.pen.statusOf(h)
}

// formatEffects returns the changes that a change has caused: "→ payments DEGRADED, * DEGRADED".
func (w *watchPrinter) formatEffects(effects []change) string {
	var parts []string
	for _, c := range effects {
		text := nameOf(c.now) + " " + word(w.statusNow(c.now))
		if root := w.formatRoot(&watchLine{change: c}); root != "" {
			text += " " + root
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return ""
	}
	return w.pen.choose("→", "->") + " " + strings.Join(parts, ", ")
}

// word returns the status in a table cell without its symbol.
func word(c cell) string {
	_, text, _ := strings.Cut(c.text, " ")
	return text
}
