package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// The bounds of what the viewer prints.
const (
	// calmEvery is the time for which changes are collected before they are printed.
	calmEvery = time.Second
	// calmStart is the time from the start to the first lines. In this time the mesh starts.
	calmStart = 2 * time.Second
	// calmLines is the number of instances whose changes are printed one by one. If more
	// instances have changed in calmEvery, one line counts them.
	calmLines = 3
	// crowdEvery is the time between two lines about the crowd of a storm, in calmEvery.
	crowdEvery = 5
)

// merger collects the latest entry of each name that has changed.
type merger struct {
	entries  map[health.ID]*client.Entry
	order    []health.ID // the names in the order of their first change
	received time.Time   // time of the last update
}

// crowdCount counts the changes of the crowd since the last line about it.
type crowdCount struct {
	flushes int // how many times changes were printed since that line
	changes int // changes of the status of an instance
	delays  []time.Duration
}

// take stores an update for the next call of flush. Outages, and snapshots after them, are printed at
// once.
func (v *viewer) take(u *client.Update) error {
	story := *u
	story.Entries = slices.DeleteFunc(slices.Clone(u.Entries), func(e *client.Entry) bool { return !v.inStory(e.ID.Service) })
	if v.storm {
		story.Gap = false // in a storm, most missed changes are of the crowd
	}
	if u.Stale || u.Snapshot && v.started {
		if err := v.flush(); err != nil {
			return err
		}
		return v.show(&story)
	}
	v.started = v.started || u.SnapshotEnd
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting.add(&story)
	return nil
}

func (m *merger) add(u *client.Update) {
	if m.entries == nil {
		m.entries = map[health.ID]*client.Entry{}
	}
	for _, e := range u.Entries {
		if m.entries[e.ID] == nil {
			m.order = append(m.order, e.ID)
		}
		m.entries[e.ID] = e
	}
	m.received = u.Received
}

// printCalmly prints the collected changes every calmEvery until ctx ends.
func (v *viewer) printCalmly(ctx context.Context) error {
	for pause := calmStart; sleep(ctx, pause); pause = calmEvery {
		if err := v.flush(); err != nil {
			return err
		}
		v.printCrowd()
	}
	return nil
}

// flush prints the collected changes.
func (v *viewer) flush() error {
	v.printing.Lock()
	defer v.printing.Unlock()
	v.mu.Lock()
	collected := v.waiting
	v.waiting = merger{}
	v.mu.Unlock()
	u, hidden, summarized := collected.update(v.shown)
	if text := summarizeEntries(summarized); text != "" {
		v.say("… %s", text)
	}
	v.hide(hidden)
	if len(u.Entries) == 0 {
		return nil
	}
	return v.show(&u)
}

// shownState is what a line shows of an entry. An entry is printed when this has changed.
type shownState struct {
	status               health.Status
	unconfirmed, removed bool
}

// update returns, as one update, the collected entries that are printed. hidden are the others, and
// summarized are those of hidden that one line counts, because too many instances have changed.
// shown has what was printed of each name, and update adds the new states.
func (m *merger) update(shown map[health.ID]shownState) (u client.Update, hidden, summarized []*client.Entry) {
	u.Received = m.received
	var instances, aggregates []*client.Entry
	for _, id := range m.order {
		e := m.entries[id]
		now := shownState{e.Status, e.Unconfirmed, e.Removed}
		_, inZone := id.Zone()
		switch {
		case shown[id] == now, inZone && id.Service != health.MeshName:
			hidden = append(hidden, e)
		case id.Aggregate():
			aggregates = append(aggregates, e)
		default:
			instances = append(instances, e)
		}
		shown[id] = now
	}
	if len(instances) > calmLines {
		summarized, hidden, instances = instances, append(hidden, instances...), nil
	}
	u.Entries = append(instances, aggregates...)
	return u, hidden, summarized
}

// summarizeEntries returns a text that counts instances by their status, and says what all of them
// have in common. It returns "" if there are none.
func summarizeEntries(entries []*client.Entry) string {
	if len(entries) == 0 {
		return ""
	}
	counts := map[string]int{}
	zones, versions := map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		counts[describeStatus(e)]++
		if e.Spec != nil {
			zones[e.Spec.Zone], versions[e.Spec.Version] = true, true
		}
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[status], status))
	}
	text := fmt.Sprintf("%d instances: %s", len(entries), strings.Join(parts, ", "))
	for _, common := range []struct {
		label  string
		values map[string]bool
	}{{"zone", zones}, {"version", versions}} {
		if len(common.values) == 1 {
			for value := range common.values {
				text += fmt.Sprintf("; all %s=%s", common.label, value)
			}
		}
	}
	return text
}

func describeStatus(e *client.Entry) string {
	switch {
	case e.Removed:
		return "removed"
	case e.Unconfirmed:
		return e.Status.String() + " unconfirmed (~)"
	}
	return e.Status.String()
}

// printCrowd prints a line about the crowd of a storm, if it is time for one.
func (v *viewer) printCrowd() {
	v.mu.Lock()
	v.crowd.flushes++
	if v.crowd.flushes < crowdEvery || v.crowd.changes == 0 {
		v.mu.Unlock()
		return
	}
	c := v.crowd
	v.crowd = crowdCount{}
	v.mu.Unlock()
	took := time.Duration(c.flushes) * calmEvery
	line := fmt.Sprintf("… storm: %d changes in %v", c.changes, took)
	if len(c.delays) > 0 {
		slices.Sort(c.delays)
		line += fmt.Sprintf("; this watcher got them after %v (median), %v (slowest)",
			roundDelay(c.delays[len(c.delays)/2]), roundDelay(c.delays[len(c.delays)-1]))
	}
	v.say("%s", line)
}
