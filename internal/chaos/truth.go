package chaos

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// State is the name of a status, or Gone, or notRoutable.
type State string

// Gone is the state of a target that is not registered any more.
const Gone State = "GONE"

// The states of targets.
var (
	serving    = State(health.Serving.String())
	notServing = State(health.NotServing.String())
	degraded   = State(health.Degraded.String())
	draining   = State(health.Draining.String())
	starting   = State(health.Starting.String())
	unknown    = State(health.Unknown.String())
)

// notRoutable stands for every state in which a target receives no traffic. Only a truth can
// have it, since no coordinator publishes it.
const notRoutable State = "NOT_ROUTABLE"

// matches reports whether a published state agrees with a true state.
func (s State) matches(seen State) bool {
	if s == notRoutable {
		return seen != serving && seen != degraded
	}
	return s == seen
}

// Truth is the state of a target from a time on.
type Truth struct {
	At    time.Time
	ID    health.ID
	State State
	// Bound is the time from At within which State must be published. Hold is the part of
	// Bound in which the coordinator waits on purpose.
	Bound, Hold time.Duration
	// If Undecided is set, any state may be published until Bound has passed, because
	// the coordinator cannot know the truth. Only the state after that is compared.
	Undecided bool
}

// Seen is one update that a watcher received.
type Seen struct {
	At          time.Time
	ID          health.ID
	State       State
	Cause       string
	Unconfirmed bool
	Epoch       uint64
	Revision    uint64
}

// truthWord begins a line about a truth. Its fields are the word, the time in
// nanoseconds, the name, the state and the source.
const truthWord = "truth"

func truthLine(at time.Time, id health.ID, s State, w source) string {
	return fmt.Sprintf("%s %d %s %s %s\n", truthWord, at.UnixNano(), id, s, w)
}

// parseTruth parses the fields of a line about a truth, without the word truthWord.
func parseTruth(fields []string, b Bounds) (Truth, error) {
	if len(fields) != 4 {
		return Truth{}, fmt.Errorf("a line about a truth has %d fields, want 4: %s", len(fields), strings.Join(fields, " "))
	}
	at, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return Truth{}, fmt.Errorf("a line about a truth has no time: %w", err)
	}
	t := Truth{At: time.Unix(0, at), ID: health.ParseID(fields[1]), State: State(fields[2])}
	t.Bound, t.Hold = b.boundOf(source(fields[3]), t.State)
	return t, nil
}

// source is how a coordinator learns the state of a target.
type source string

const (
	byReport  source = "report"  // a server of this library reports the state
	byStock   source = "stock"   // a stock server reports the state; a better one must last for Bounds.Hold
	byRefusal source = "refusal" // the port of the target is closed
	byPath    source = "path"    // the target does not answer
	byStub    source = "stub"    // a half-implemented health service reports the state
)

// Bounds are the times within which a new state of a target must be published.
type Bounds struct {
	// Report is the bound of a state that a target reports. A flush takes microseconds.
	// The rest is for a machine whose cores are all busy.
	Report time.Duration
	// Hold is how long a stock target must be SERVING before SERVING is published.
	Hold time.Duration
	// Refusal is the bound of a closed port: two refused connections, one second apart,
	// and as much slack as in Report.
	Refusal time.Duration
	// Path is the bound of a target that does not answer: twice UnreachableAfter, one
	// second, and as much slack as in Report. Forgiven time is not included.
	Path time.Duration
	// Stub is the bound of a half-implemented health service. The coordinator needs two
	// Checks, a second apart, that contradict its Watch. Then it asks Check three
	// times, and a better state must last for Hold. The rest is for the interval of
	// Checks, a third of UnreachableAfter before the target is polled.
	Stub time.Duration
}

// boundsFor returns the bounds for a coordinator with this UnreachableAfter.
func boundsFor(unreachableAfter time.Duration) Bounds {
	const slack = time.Second
	return Bounds{
		Report: slack, Hold: 2 * time.Second, Refusal: 2*time.Second + slack, Path: 2*unreachableAfter + time.Second + slack,
		Stub: unreachableAfter + 9*time.Second,
	}
}

// boundOf returns the time within which the state s must be published, and the part of
// that time that the coordinator waits on purpose.
func (b Bounds) boundOf(w source, s State) (bound, hold time.Duration) {
	switch {
	case w == byRefusal:
		return b.Refusal, 0
	case w == byPath:
		return b.Path, 0
	case w == byStub:
		return b.Stub, 0
	case w == byStock && s == serving:
		return b.Hold + b.Report, b.Hold
	}
	return b.Report, 0
}
