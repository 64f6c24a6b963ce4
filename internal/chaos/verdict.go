package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Verdict is the result of a scenario.
type Verdict struct {
	Scenario  string
	Instances int
	Count
	Took time.Duration
	// Notes has additional measurements of the scenario, one sentence each.
	Notes []string
	// Failures has one text for each requirement that was not met. Empty means that the
	// scenario passed or was skipped.
	Failures []string
	// Skipped says why the scenario cannot run on this machine. Empty means that the
	// scenario ran.
	Skipped string
}

// OK reports whether no requirement failed. A skipped scenario is OK, too.
func (v *Verdict) OK() bool { return len(v.Failures) == 0 }

// Word returns the verdict as one word: "pass", "FAIL" or "skipped".
func (v *Verdict) Word() string {
	switch {
	case v.Skipped != "":
		return "skipped"
	case v.OK():
		return "pass"
	}
	return "FAIL"
}

// Detection returns the time within which the given percentage of all published changes of
// targets was published. The result is 0 if no change was published.
func (v *Verdict) Detection(percent int) time.Duration {
	n := len(v.Detections)
	if n == 0 {
		return 0
	}
	return v.Detections[min(n-1, n*percent/100)]
}

// require adds a failure with the formatted text unless ok is true.
func (v *Verdict) require(ok bool, format string, args ...any) {
	if !ok {
		v.Failures = append(v.Failures, fmt.Sprintf(format, args...))
	}
}

func (v *Verdict) note(format string, args ...any) {
	v.Notes = append(v.Notes, fmt.Sprintf(format, args...))
}

// requireNoErrors adds a failure if [Compare] has counted false, missed or late states.
func (v *Verdict) requireNoErrors() {
	c := &v.Count
	v.require(c.False+c.Missed+c.Late == 0, "%d false, %d missed, %d late: %s", c.False, c.Missed, c.Late, joinFaults(c.Faults))
}

// requireOrder adds a failure if the updates of a watcher are out of order. It also adds a
// failure if the last updates do not have the true states.
func (v *Verdict) requireOrder(watcher string, truths []Truth, seen []Seen, view map[health.ID]Seen) {
	n, faults := OutOfOrder(truths, seen)
	v.require(n == 0, "%s: %d updates out of order: %s", watcher, n, joinFaults(faults))
	n, faults = WrongEnds(truths, view)
	v.require(n == 0, "%s: %d targets end with a wrong state: %s", watcher, n, joinFaults(faults))
}

// joinFaults joins the texts of a list, but at most the first maxFaults texts.
func joinFaults(list []string) string {
	text := strings.Join(list[:min(len(list), maxFaults)], "; ")
	if len(list) > maxFaults {
		text += "; and more"
	}
	return text
}
