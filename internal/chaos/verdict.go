package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Verdict is what a scenario comes to.
type Verdict struct {
	Scenario  string
	Instances int
	Count
	Took time.Duration
	// Notes are figures beside those that are counted.
	Notes []string
	// Failures say what is not as it should be; none means it passed.
	Failures []string
	// Skipped says why it could not be tried here.
	Skipped string
}

// OK reports whether nothing was found wrong.
func (v *Verdict) OK() bool { return len(v.Failures) == 0 }

// Word is the verdict in a word.
func (v *Verdict) Word() string {
	switch {
	case v.Skipped != "":
		return "skipped"
	case v.OK():
		return "pass"
	}
	return "FAIL"
}

// Detection returns how long it took to publish a truth: so many percent of
// them at most; 0 if there was none.
func (v *Verdict) Detection(percent int) time.Duration {
	n := len(v.Detections)
	if n == 0 {
		return 0
	}
	return v.Detections[min(n-1, n*percent/100)]
}

// require fails the scenario unless ok.
func (v *Verdict) require(ok bool, format string, args ...any) {
	if !ok {
		v.Failures = append(v.Failures, fmt.Sprintf(format, args...))
	}
}

func (v *Verdict) note(format string, args ...any) {
	v.Notes = append(v.Notes, fmt.Sprintf(format, args...))
}

// conclude fails the scenario for what the judge has counted.
func (v *Verdict) conclude() {
	c := &v.Count
	v.require(c.False+c.Missed+c.Late == 0, "%d false, %d missed, %d late: %s", c.False, c.Missed, c.Late, inWords(c.Faults))
}

// wellTold fails the scenario unless a watcher was told everything in order, and
// ends right.
func (v *Verdict) wellTold(who string, truths []Truth, seen []Seen, view map[health.ID]Seen) {
	n, faults := Disorder(truths, seen)
	v.require(n == 0, "%s: %d updates out of order: %s", who, n, inWords(faults))
	n, faults = Astray(truths, view)
	v.require(n == 0, "%s: %d targets do not end as they are: %s", who, n, inWords(faults))
}

// inWords joins the first few of a list.
func inWords(list []string) string {
	text := strings.Join(list[:min(len(list), maxFaults)], "; ")
	if len(list) > maxFaults {
		text += "; and more"
	}
	return text
}
