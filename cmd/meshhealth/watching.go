package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// watching is what a watch command knows: all it has printed.
type watching struct {
	*app
	f     *watchFlags
	pen   pen
	known map[string]*pb.Health
	want  []string // services that were asked for
	// named are the names of a snapshot so far, nil between snapshots.
	named   map[string]bool
	begun   bool // a snapshot is complete: from now on there are changes
	lost    bool
	changes int
	width   int // of the names
}

func newWatching(a *app, f *watchFlags, services []string) *watching {
	return &watching{app: a, f: f, pen: a.pen(f.colour), known: map[string]*pb.Health{}, want: services}
}

// take prints an update. It returns an error when there is no point in others.
func (w *watching) take(u *client.Update) error {
	if u.Stale {
		return w.stale(u)
	}
	w.back()
	if u.Gap && w.begun {
		w.say("meshhealth: changes may have been missed; what is different now follows")
	}
	if u.Snapshot && w.named == nil {
		w.named = map[string]bool{}
	}
	w.widen(u.Entries)
	for _, h := range u.Entries {
		if err := w.entry(h, u.Received); err != nil {
			return err
		}
	}
	if u.SnapshotEnd {
		return w.end(u.Received)
	}
	return nil
}

// stale says that nobody is heard. If nobody ever was, nobody may be there.
func (w *watching) stale(u *client.Update) error {
	w.named = nil
	if !w.begun {
		return u.Err
	}
	w.lost = true
	w.say("meshhealth: lost the coordinator: %v", w.f.explain(u.Err))
	w.say("  What was printed may be out of date. Trying again...")
	return nil
}

func (w *watching) back() {
	if w.lost {
		w.say("meshhealth: the coordinator is back")
	}
	w.lost = false
}

// entry prints an entry, if it says something new.
func (w *watching) entry(h *pb.Health, at time.Time) error {
	name := nameOf(h)
	before := w.known[name]
	if w.named != nil {
		w.named[name] = true
	}
	w.known[name] = h
	if h.GetRemoved() {
		delete(w.known, name)
	}
	if !w.begun && w.f.changesOnly || h.GetService() == "" {
		return nil
	}
	if !w.f.json() && !news(before, h) || before == nil && h.GetRemoved() {
		return nil
	}
	return w.print(before, h, at)
}

// end ends a snapshot: what it has not named is gone.
func (w *watching) end(at time.Time) error {
	var gone []string
	for name := range w.known {
		if !w.named[name] {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	for _, name := range gone {
		h := proto.CloneOf(w.known[name])
		h.Removed = true
		if err := w.entry(h, at); err != nil {
			return err
		}
	}
	if !w.begun {
		w.introduce()
	}
	w.named, w.begun = nil, true
	return nil
}

// introduce says what is watched, so that silence means something.
func (w *watching) introduce() {
	for _, service := range w.want {
		if w.known[service] == nil {
			w.say("meshhealth: %s is not registered yet", service)
		}
	}
	w.say("meshhealth: watching %s; changes follow", plural(len(w.known), "name"))
}

// news reports whether a person wants to see this change. Figures and counts
// ride on entries all the time.
func news(before, h *pb.Health) bool {
	return before == nil || h.GetRemoved() ||
		before.GetStatus() != h.GetStatus() || before.GetCause() != h.GetCause() ||
		before.GetUnconfirmed() != h.GetUnconfirmed() || before.GetRoot() != h.GetRoot() ||
		before.GetIncarnation() != h.GetIncarnation() ||
		!proto.Equal(before.GetOverride(), h.GetOverride())
}

func (w *watching) print(before, h *pb.Health, at time.Time) error {
	var err error
	if w.f.json() {
		err = printJSON(w.stdout, h)
	} else {
		_, err = fmt.Fprintln(w.stdout, w.line(before, h, at))
	}
	if err != nil || !w.begun {
		return err
	}
	if w.changes++; w.changes == w.f.count {
		return errEnough
	}
	return nil
}

// The widths of the columns of a line. Later lines are not known yet, so these
// do not follow from what is in them.
const (
	statusColumns = len("X NOT_SERVING ~")
	beforeColumns = len("<- NOT_SERVING")
	causeColumns  = len("unimplemented")
	maxNameColumn = 48
)

// widen makes room for names. It never shrinks, so that lines stay aligned as
// far as they can.
func (w *watching) widen(entries []*pb.Health) {
	for _, h := range entries {
		w.width = max(w.width, min(columnsOf(nameOf(h)), maxNameColumn))
	}
}

// line is one change for people.
func (w *watching) line(before, h *pb.Health, at time.Time) string {
	p := w.pen
	status := p.statusOf(h)
	if h.GetRemoved() {
		status = cell{p.or("✂", "-") + " REMOVED", faint}
	}
	was := ""
	if w.begun && before != nil {
		left := before.GetStatus()
		if h.GetRemoved() { // how it went, which may have come with the news that it has
			left = h.GetStatus()
		}
		was = p.or("←", "<-") + " " + strings.SplitN(p.status(left).text, " ", 2)[1]
	}
	parts := []string{
		p.paint(faint, at.In(w.zone).Format("15:04:05.000")), p.paint(status.style, pad(status.text, statusColumns)),
		p.paint(faint, pad(was, beforeColumns)), pad(wire.CleanTo(nameOf(h), wire.MaxFullName), w.width),
		pad(causeOf(h.GetCause()), causeColumns), wire.CleanTo(whyOf(h), 4*wire.MaxText),
	}
	if !w.begun {
		parts = slices.Delete(parts, 2, 3)
	}
	return strings.TrimRight(strings.Join(parts, gap), " ")
}

// pad fills a text up with spaces.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-columnsOf(text)))
}
