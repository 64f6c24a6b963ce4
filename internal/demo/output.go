package demo

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaultCoordinator is the address of the coordinator that `meshhealth` commands use without
// the flag --coordinator.
const defaultCoordinator = "127.0.0.1:7070"

// printIntroduction prints which servers run, and commands that the user can try.
func (d *demo) printIntroduction() {
	at := d.coordinator.Addr().String()
	flag := ""
	if at != defaultCoordinator {
		flag = " --coordinator " + at
	}
	d.say("%d services with %d instances each, and a coordinator at %s. From another terminal:", d.cfg.Services, d.cfg.Instances, at)
	d.say("")
	d.say("  meshhealth status%s", flag)
	d.say("  meshhealth status payments/a%s", flag)
	d.say("  meshhealth watch ledger%s", flag)
	d.say("  meshhealth history%s", flag)
	d.say("  grpcurl -plaintext -d '{\"service\":\"payments\"}' %s grpc.health.v1.Health/Watch", at)
	if web := d.coordinator.HTTPAddr(); web != nil {
		d.say("  curl -s http://%s/metrics | grep ^meshhealth_", web)
	}
	d.say("")
	if d.cfg.For > 0 {
		d.say("The demo ends after %v, or with Ctrl-C.", d.cfg.For)
	} else {
		d.say("The steps repeat until Ctrl-C.")
	}
	d.say("")
}

// countOf returns a text with a number and the name of the counted thing, such as "3 updates".
func countOf(n int, what string) string { return strconv.Itoa(n) + " " + what }

// summarize prints a summary at the end of the demo: the number of transitions and removals,
// the delays of updates, and the steps.
func (v *viewer) summarize(say func(string, ...any), took time.Duration, instances, services int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	var parts []string
	for _, s := range slices.Sorted(maps.Keys(v.into)) {
		n += v.into[s]
		parts = append(parts, countOf(v.into[s], "to "+s.String()))
	}
	say("")
	say("%v, %d instances of %d services", took.Round(100*time.Millisecond), instances, services)
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

func roundDelay(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
