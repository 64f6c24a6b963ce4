package chaos

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// State is a status by its name, or Gone.
type State string

// Gone is the state of what is not registered any more.
const Gone State = "GONE"

// The states targets have.
var (
	serving    = State(health.Serving.String())
	notServing = State(health.NotServing.String())
	degraded   = State(health.Degraded.String())
	draining   = State(health.Draining.String())
	starting   = State(health.Starting.String())
)

// Truth is what a target has become.
type Truth struct {
	At    time.Time
	ID    health.ID
	State State
	// Bound is within what time it must be published; Hold is what of it is meant
	// to pass first.
	Bound, Hold time.Duration
}

// Seen is what a watcher was told.
type Seen struct {
	At          time.Time
	ID          health.ID
	State       State
	Cause       string
	Unconfirmed bool
	Epoch       uint64
	Revision    uint64
}

// truthWord begins a line of truth: word, nanoseconds, name, state, way.
const truthWord = "truth"

func truthLine(at time.Time, id health.ID, s State, w way) string {
	return fmt.Sprintf("%s %d %s %s %s\n", truthWord, at.UnixNano(), id, s, w)
}

// parseTruth reads the fields of such a line, the word left out.
func parseTruth(fields []string, b Bounds) (Truth, error) {
	if len(fields) != 4 {
		return Truth{}, fmt.Errorf("a line of truth has %d fields, want 4: %s", len(fields), strings.Join(fields, " "))
	}
	at, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return Truth{}, fmt.Errorf("a line of truth has no time: %w", err)
	}
	t := Truth{At: time.Unix(0, at), ID: health.ParseID(fields[1]), State: State(fields[2])}
	t.Bound, t.Hold = b.of(way(fields[3]), t.State)
	return t, nil
}
