package chaos

import "time"

// way is how a coordinator learns of a truth.
type way string

const (
	byReport  way = "report"  // a server of this library says it
	byStock   way = "stock"   // a stock server says it: what is better must last
	byRefusal way = "refusal" // its port is closed
	byPath    way = "path"    // nothing is heard
)

// Bounds are within what time truths must be published.
type Bounds struct {
	// Report: what a target says of itself. A flush takes microseconds; the
	// rest is for a machine whose cores are all busy.
	Report time.Duration
	// Hold is how long a stock target must be SERVING before it is believed.
	Hold time.Duration
	// Refusal: two of them, a second apart, and as much slack as a Report.
	Refusal time.Duration
	// Path: twice UnreachableAfter and a second, what is forgiven left out.
	Path time.Duration
}

// bounds are those of a coordinator with this UnreachableAfter.
func bounds(unreachableAfter time.Duration) Bounds {
	const slack = time.Second
	return Bounds{
		Report: slack, Hold: 2 * time.Second, Refusal: 2*time.Second + slack, Path: 2*unreachableAfter + slack,
	}
}

// of returns the bound of becoming s, and how much of it is meant to pass.
func (b Bounds) of(w way, s State) (bound, hold time.Duration) {
	switch {
	case w == byRefusal:
		return b.Refusal, 0
	case w == byPath:
		return b.Path, 0
	case w == byStock && s == serving:
		return b.Hold + b.Report, b.Hold
	}
	return b.Report, 0
}
