package main

import (
	"fmt"
	"strings"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// maxLinesPerSecond is the largest number of changes that a terminal shows in a second. A person
// cannot read more. Further changes are counted, and become one line.
const maxLinesPerSecond = 20

// pacer decides which changes are shown. The others it holds until their second is over.
type pacer struct {
	begin time.Time // beginning of the present second; zero if nothing was shown in it
	shown int       // number of changes that were shown in the present second
	held  bundle
	// format returns a change as text.
	format func(*watchLine, time.Time) string
}

// take reports whether to show a change. Otherwise it holds the change. A paused pacer holds all.
func (p *pacer) take(l *watchLine, at time.Time, paused bool) bool {
	if p.begin.IsZero() {
		p.begin = at
	}
	if !paused && p.shown < maxLinesPerSecond {
		p.shown++
		return true
	}
	p.held.add(l, at)
	return false
}

// due returns when settle has something to do. It is zero if nothing is held.
func (p *pacer) due() time.Time {
	if p.held.n == 0 {
		return time.Time{}
	}
	return p.begin.Add(time.Second)
}

// end lets the present second end at once.
func (p *pacer) end() { p.begin = time.Time{} }

// settle ends the present second if it is over. It returns one line for the changes that were held
// in it, and false if none were held. A single change is shown as it is.
func (p *pacer) settle(pen pen, zone *time.Location, now time.Time) (line string, held bool) {
	if now.Before(p.begin.Add(time.Second)) && !p.begin.IsZero() {
		return "", false
	}
	b := p.held
	p.begin, p.shown, p.held = time.Time{}, 0, bundle{}
	switch b.n {
	case 0:
		return "", false
	case 1:
		return p.format(b.last, b.end), true
	}
	return b.text(pen, b.end.In(zone)), true
}

// bundle counts changes that are not shown, and what they have in common.
type bundle struct {
	n          int
	begin, end time.Time  // times of the first and the last change
	last       *watchLine // latest change
	// instances is true if one of the changes is of an instance. Then only changes of instances
	// count for what they have in common.
	instances bool
	counted   int // number of changes that count for what they have in common
	common    [4]string
	differ    [4]bool
	to        [health.NumStatuses]int
}

// commonNames are the names of what changes can have in common.
var commonNames = [4]string{"zone", "service", "version", "cause"}

func (b *bundle) add(l *watchLine, at time.Time) {
	if b.n++; b.n == 1 {
		b.begin = at
	}
	b.end, b.last = at, l
	h := l.now
	instance := h.GetInstance() != "" && !isZone(h)
	switch {
	case instance && !b.instances: // forget what aggregates have in common
		b.instances, b.counted, b.differ, b.to = true, 0, [4]bool{}, [health.NumStatuses]int{}
	case !instance && b.instances:
		return
	}
	status, _ := health.StatusFromWire(int32(h.GetStatus()))
	b.to[status]++
	values := [4]string{zoneOf(h), h.GetService(), h.GetVersion(), health.CauseFromWire(int32(h.GetCause())).String()}
	for i, value := range values {
		if b.counted == 0 {
			b.common[i] = value
		} else if b.common[i] != value {
			b.differ[i] = true
		}
	}
	b.counted++
}

// zoneOf returns the zone of an instance, or the zone of which an entry is the aggregate.
func zoneOf(h *pb.Health) string {
	if zone, ok := (health.ID{Service: h.GetService(), Instance: h.GetInstance()}).Zone(); ok {
		return zone
	}
	return h.GetZone()
}

// text returns the line for the changes, such as "... 412 changes in 0.8s, all zone=b".
func (b *bundle) text(p pen, at time.Time) string {
	text := fmt.Sprintf("%s  %s %s in %.1fs", p.paint(faint, at.Format("15:04:05.000")), p.dots(), plural(b.n, "change"), b.end.Sub(b.begin).Seconds())
	var common []string
	for i, value := range b.common {
		if value != "" && !b.differ[i] {
			common = append(common, commonNames[i]+"="+value)
		}
	}
	if len(common) > 0 {
		text += ", all " + strings.Join(common, " ")
	}
	return text + ": now " + byStatus(&b.to)
}
