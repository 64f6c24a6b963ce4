package demo

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaultCoordinator is the address of the coordinator that `meshhealth` commands use without
// the flag --coordinator.
const defaultCoordinator = "127.0.0.1:7070"

// printIntroduction prints the address of the page, commands that the user can try, and what
// happens next.
func (d *demo) printIntroduction() {
	if web := d.coordinator.HTTPAddr(); web != nil {
		d.say("page      http://%s/ui", web)
	} else {
		d.say("page      none; it needs --http, such as --http 127.0.0.1:0")
	}
	d.say("terminal  %s", d.command("explain db.primary"))
	d.say("          %s (also: watch, history, routes payments)", d.command("status"))
	d.say("next      in %v db.primary will fail, and the services that need it", firstStep)
	d.say("")
	d.say("On this machine run a coordinator and %s. The faults are real.", d.describeMesh())
	if d.cfg.For > 0 {
		d.say("The demo ends after %v, or with Ctrl-C.", d.cfg.For)
	} else {
		d.say("The story repeats until Ctrl-C.")
	}
	d.say("")
}

// command returns a command line with these arguments for the coordinator of the demo.
func (d *demo) command(args string) string {
	line := "meshhealth " + args
	if at := d.coordinator.Addr().String(); at != defaultCoordinator {
		line += " --coordinator " + at
	}
	return line
}

func (d *demo) describeMesh() string {
	text := fmt.Sprintf("%d instances of %d services in %d zones", len(d.instances), len(nodes), len(zones))
	if d.crowd == nil {
		return text
	}
	return text + fmt.Sprintf(" and a crowd of %d more", len(d.crowd.members))
}

// announceStorm prints that the storm begins.
func (d *demo) announceStorm() {
	n := len(d.crowd.members)
	d.say("» the storm begins: %d instances of the crowd are registered, and flip %d times a second", n, flipRate(n))
}

// countOf returns a text with a number and the name of the counted thing, such as "3 updates".
func countOf(n int, what string) string { return strconv.Itoa(n) + " " + what }

// summarize prints a summary at the end of the demo: the number of transitions and removals,
// the delays of updates, and the steps.
func (v *viewer) summarize(say func(string, ...any), took time.Duration, instances int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	var parts []string
	for _, s := range slices.Sorted(maps.Keys(v.into)) {
		n += v.into[s]
		parts = append(parts, countOf(v.into[s], "to "+s.String()))
	}
	say("")
	say("%v, %d instances of %d services", took.Round(100*time.Millisecond), instances, v.services())
	say("  transitions  %d: %s; %d removed", n, strings.Join(parts, ", "), v.removed)
	if len(v.delays) > 0 {
		slices.Sort(v.delays)
		say("  delay        %v (median of %d; the slowest %v), from a transition at an instance to the watcher, over two hops",
			roundDelay(v.delays[len(v.delays)/2]), len(v.delays), roundDelay(v.delays[len(v.delays)-1]))
	}
	for n, what := range v.steps {
		head := "  steps       "
		if n > 0 {
			head = "              "
		}
		say("%s %s", head, what)
	}
}

// services returns the number of services that are known.
func (v *viewer) services() int {
	n := 0
	for id := range v.known {
		if id.Instance == "" && id.Service != "" && id.Service != "*" {
			n++
		}
	}
	return n
}

func roundDelay(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
