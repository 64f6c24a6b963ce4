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

// format returns a line as text. at is the time that the line shows.
func (w *watchPrinter) format(l watchLine, at time.Time) string {
	p, h := w.pen, l.now
	status := w.statusNow(h)
	why := whyOf(h)
	if effects := w.formatEffects(l.effects); effects != "" {
		why = strings.TrimSpace(why + " " + effects)
	}
	parts := []string{
		p.paint(faint, at.In(w.zone).Format("15:04:05.000")), p.paint(status.style, pad(status.text, statusColumns)),
		p.paint(faint, pad(w.formatBefore(l.change), beforeColumns)), pad(wire.CleanTo(nameOf(h), wire.MaxFullName), w.nameWidth),
		pad(causeOf(h.GetCause()), causeColumns), wire.CleanTo(why, maxShown),
	}
	if !w.started {
		parts = slices.Delete(parts, 2, 3)
	}
	return strings.TrimRight(strings.Join(parts, gap), " ")
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
		if root := c.now.GetRoot(); root != "" {
			text += " because of " + root
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
