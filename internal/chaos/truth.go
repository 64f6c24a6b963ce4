package chaos

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// State is the state of a target as a text: the name of a status, such as SERVING, or [Gone].
// A [Truth] may also have the state NOT_ROUTABLE.
type State string

// Gone is the state of a target that is not registered any more.
const Gone State = "GONE"

// The states of a registered target. Each state is the name of a status.
var (
	serving    = State(health.Serving.String())
	notServing = State(health.NotServing.String())
	degraded   = State(health.Degraded.String())
	draining   = State(health.Draining.String())
	starting   = State(health.Starting.String())
	unknown    = State(health.Unknown.String())
)

// notRoutable stands for any state in which a target receives no traffic. It is a possible State of
// a [Truth], and is never published.
const notRoutable State = "NOT_ROUTABLE"

// matches reports whether a published state agrees with a true state.
func (s State) matches(seen State) bool {
	if s == notRoutable {
		return seen != serving && seen != degraded
	}
	return s == seen
}

// Truth is the true state of a target from the time At until the next Truth of the target.
type Truth struct {
	At    time.Time
	ID    health.ID
	State State
	// Bound is the time after At within which State must be published.
	Bound time.Duration
	// Hold is the part of Bound for which the coordinator waits on purpose, to see whether
	// the state lasts.
	Hold time.Duration
	// Undecided means that any state may be published until Bound has passed, because the
	// coordinator cannot know the truth. After Bound, State must be published.
	Undecided bool
}

// Seen is one published state of a target, as a watcher received it.
type Seen struct {
	At          time.Time
	ID          health.ID
	State       State
	Cause       string
	Unconfirmed bool
	Epoch       uint64
	Revision    uint64
}

// truthWord is the first word of a line with which a child process reports the state of a target.
// The other fields are the Unix time in nanoseconds, the name, the state and the source.
const truthWord = "truth"

func truthLine(at time.Time, id health.ID, s State, w source) string {
	return fmt.Sprintf("%s %d %s %s %s\n", truthWord, at.UnixNano(), id, s, w)
}

// parseTruth parses a line in which a child process reports the state of a target. fields has the
// words of the line after truthWord.
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

// source is the way in which a coordinator learns the state of a target. For each way, another
// time limit applies to the publication of the state.
type source string

const (
	byReport  source = "report"  // a server of this library reports the state
	byStock   source = "stock"   // a stock server reports the state; SERVING must last for Bounds.Hold
	byRefusal source = "refusal" // the state is NOT_SERVING, because the port of the target is closed
	byPath    source = "path"    // the state is NOT_SERVING, because the target does not answer
	byStub    source = "stub"    // a half-implemented health service reports the state
)

// Bounds has the times within which a new state of a target must be published.
type Bounds struct {
	// Report is the time limit for a state that a target reports itself. On an idle machine
	// the publication takes milliseconds, so most of the time is for a busy machine.
	Report time.Duration
	// Hold is the time for which a stock server must report SERVING before the coordinator
	// publishes SERVING.
	Hold time.Duration
	// Refusal is the time limit for NOT_SERVING of a target whose port is closed. The
	// coordinator needs two refused connections, at least one second apart.
	Refusal time.Duration
	// Path is the time limit for NOT_SERVING of a target that does not answer: twice
	// UnreachableAfter, plus two seconds. If the coordinator was late, it may need longer.
	Path time.Duration
	// Stub is the time limit for a state that a half-implemented health service reports:
	// UnreachableAfter plus 9 s. The coordinator needs two Checks that contradict the Watch
	// before it polls with Check. Then SERVING must last for Hold.
	Stub time.Duration
}

// boundsFor returns the time limits for a coordinator with the given setting unreachable_after.
func boundsFor(unreachableAfter time.Duration) Bounds {
	const slack = time.Second
	return Bounds{
		Report: slack, Hold: 2 * time.Second, Refusal: 2*time.Second + slack, Path: 2*unreachableAfter + time.Second + slack,
		Stub: unreachableAfter + 9*time.Second,
	}
}

// boundOf returns the bound of the state s: the time within which s must be published. w is how the
// coordinator learns s. hold is the part of this time for which the coordinator waits on purpose.
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
