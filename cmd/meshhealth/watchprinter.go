package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// watchFlags are the values of the flags of the command watch.
type watchFlags struct {
	target
	output
	changesOnly bool
	zones       bool
	count       int
	lasting     time.Duration
	figures     time.Duration
}

// errEnough ends a watch after the number of changes that the flag --count allows.
var errEnough = errors.New("enough")

// watchPrinter prints the updates of a Watch as lines of text or JSON.
type watchPrinter struct {
	*app
	f     *watchFlags
	pen   pen
	known map[string]*pb.Health // latest entry of each name
	asked []string              // services and names in the arguments of the command
	// near returns registered names that are similar to a name, for hints. nil means that no
	// hints are printed.
	near func(name string) []string
	// inSnapshot has the names that the present snapshot has contained so far. It is nil if no
	// snapshot is being received.
	inSnapshot map[string]bool
	// differing has the zones whose status differed from the status of their service or of the
	// mesh when the zone was last printed.
	differing map[string]bool
	started   bool // true after the first snapshot: all further entries are changes
	lost      bool // true after a message about an outage, until the coordinator can be reached again
	changes   int  // number of printed changes
	nameWidth int  // width of the column of names, in characters
}

func newWatchPrinter(a *app, f *watchFlags, asked []string) *watchPrinter {
	return &watchPrinter{
		app: a, f: f, pen: a.pen(f.colour), asked: asked,
		known: map[string]*pb.Health{}, differing: map[string]bool{},
	}
}

// print prints an update. If it returns an error, the watch ends.
func (w *watchPrinter) print(u *client.Update) error {
	if u.Stale {
		return w.printOutage(u)
	}
	if w.lost {
		w.say("meshhealth: the coordinator is back")
		w.lost = false
	}
	if u.Gap && w.started {
		w.say("meshhealth: changes may have been missed; all differences follow")
	}
	if u.Snapshot && w.inSnapshot == nil {
		w.inSnapshot = map[string]bool{}
	}
	var news []change
	for _, e := range u.Entries {
		w.widenNames(e.Proto())
		if c, ok := w.update(e.Proto()); ok {
			news = append(news, c)
		}
	}
	if err := w.printChanges(news, u.Received); err != nil {
		return err
	}
	if u.SnapshotEnd {
		return w.endSnapshot(u.Received)
	}
	return w.printFigures(u.Figures, u.Received)
}

// printOutage prints that the coordinator cannot be reached. Before the first snapshot it returns an
// error, which ends the watch, because the address may be wrong.
func (w *watchPrinter) printOutage(u *client.Update) error {
	w.inSnapshot = nil
	if !w.started {
		return u.Err
	}
	w.lost = true
	w.say("meshhealth: lost the coordinator: %v", w.f.callError(u.Err))
	w.say("  What was printed may be out of date. Trying again...")
	return nil
}

// change is a new entry of a name, with the previous entry of the same name.
type change struct {
	before, now *pb.Health // before is nil if the name was not known
}

// update stores h as the latest entry of its name. It returns true if the change must be printed.
func (w *watchPrinter) update(h *pb.Health) (change, bool) {
	name := nameOf(h)
	before := w.known[name]
	if w.inSnapshot != nil {
		w.inSnapshot[name] = true
	}
	w.known[name] = h
	if h.GetRemoved() {
		delete(w.known, name)
	}
	switch {
	case !w.started && w.f.changesOnly, h.GetService() == "", before == nil && h.GetRemoved():
		return change{}, false
	case w.f.json():
		return change{before, h}, true
	}
	return change{before, h}, isNews(before, h)
}

// isNews reports whether a person wants to see a change. If only metrics or counts have changed, the
// result is false, because such changes are too frequent.
func isNews(before, h *pb.Health) bool {
	return before == nil || h.GetRemoved() ||
		before.GetStatus() != h.GetStatus() || before.GetCause() != h.GetCause() ||
		before.GetUnconfirmed() != h.GetUnconfirmed() || before.GetRoot() != h.GetRoot() ||
		before.GetIncarnation() != h.GetIncarnation() ||
		!proto.Equal(before.GetOverride(), h.GetOverride())
}

// endSnapshot handles the end of a snapshot. If a known name is missing in the snapshot, it does
// not exist any more. endSnapshot prints such names as removed.
func (w *watchPrinter) endSnapshot(at time.Time) error {
	var gone []string
	for name := range w.known {
		if !w.inSnapshot[name] {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	var news []change
	for _, name := range gone {
		h := proto.CloneOf(w.known[name])
		h.Removed = true
		if c, ok := w.update(h); ok {
			news = append(news, c)
		}
	}
	if err := errors.Join(w.printChanges(news, at), w.printDifferingZones(at)); err != nil {
		return err
	}
	if !w.started {
		w.introduce()
	}
	w.inSnapshot, w.started = nil, true
	return nil
}

// introduce prints how many names are watched, and which names are not registered. It tells the
// user that the watch works, even if no change follows.
func (w *watchPrinter) introduce() {
	for _, name := range w.asked {
		if h := w.known[name]; h != nil && h.GetStatus() != pb.Status_STATUS_SERVICE_UNKNOWN {
			continue
		}
		w.say("meshhealth: %s is not registered yet", name)
		if w.near != nil {
			if near := w.near(name); len(near) > 0 {
				w.say("  Did you mean %s?", alternatives(near))
			}
		}
	}
	w.say("meshhealth: watching %s; changes follow", plural(len(w.known), "name"))
}

// printChanges prints changes that were received together. In JSON, each change is a line. In text,
// each change of an instance is a line, to which the resulting changes of aggregates are added.
func (w *watchPrinter) printChanges(news []change, at time.Time) error {
	if w.f.json() {
		for _, c := range news {
			if err := w.count(printJSON(w.stdout, c.now)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, l := range w.lines(news) {
		_, err := fmt.Fprintln(w.stdout, w.format(*l, at))
		if err := w.count(err); err != nil {
			return err
		}
	}
	return nil
}

// printDifferingZones prints the zones whose status differs from the status of their service or of
// the mesh. It is called at the end of the first snapshot, because only then all these statuses are
// known.
func (w *watchPrinter) printDifferingZones(at time.Time) error {
	if w.started || w.f.changesOnly || w.f.json() || w.f.zones {
		return nil
	}
	var names []string
	for name, h := range w.known {
		if isZone(h) && !slices.Contains(w.asked, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if c := (change{nil, w.known[name]}); w.printsZone(c) {
			if _, err := fmt.Fprintln(w.stdout, w.format(watchLine{change: c}, at)); err != nil {
				return err
			}
		}
	}
	return nil
}

// count returns err, the result of printing a change, if it is not nil. Otherwise it counts the
// change, and returns errEnough when the number of the flag --count is reached. Lines of the first
// snapshot are not counted.
func (w *watchPrinter) count(err error) error {
	if err != nil || !w.started {
		return err
	}
	if w.changes++; w.changes == w.f.count {
		return errEnough
	}
	return nil
}

// lines returns the lines for changes. A change of a service or of the mesh is added to the line of
// the instance that has caused it.
func (w *watchPrinter) lines(news []change) []*watchLine {
	var lines []*watchLine
	last := map[string]*watchLine{} // last line of each service; the key "" has the last line of all services
	if w.started {                  // the entries of the first snapshot are not sorted
		slices.SortStableFunc(news, func(a, b change) int { return rank(a.now) - rank(b.now) })
	}
	for _, c := range news {
		service, zone := c.now.GetService(), isZone(c.now)
		if zone && (!w.started && !w.f.zones && !slices.Contains(w.asked, nameOf(c.now)) || !w.printsZone(c)) {
			continue
		}
		cause := last[service]
		if service == health.MeshName {
			cause = last[""]
		}
		if w.started && cause != nil && rank(c.now) > 0 {
			cause.effects = append(cause.effects, c)
			continue
		}
		l := &watchLine{change: c}
		lines, last[service], last[""] = append(lines, l), l, l
	}
	return lines
}

// rank returns the position of an entry among changes that are printed together. Instances come
// first, then services, then the mesh. A zone has the position of its service or of the mesh.
func rank(h *pb.Health) int {
	switch zone := isZone(h); {
	case h.GetService() == health.MeshName:
		return 2
	case h.GetInstance() == "" || zone:
		return 1
	}
	return 0
}

// printsZone reports whether the change of a zone must be printed. The user can ask for the zone
// with its name or with the flag --zones. Otherwise the change is printed if the status of the zone
// differs, or differed before, from the status of its service or the mesh.
func (w *watchPrinter) printsZone(c change) bool {
	name := nameOf(c.now)
	whole := w.known[c.now.GetService()]
	differs := !c.now.GetRemoved() && (whole == nil ||
		whole.GetStatus() != c.now.GetStatus() || whole.GetUnconfirmed() != c.now.GetUnconfirmed())
	differed := w.differing[name]
	if delete(w.differing, name); differs {
		w.differing[name] = true
	}
	return differs || differed || w.f.zones || slices.Contains(w.asked, name)
}
