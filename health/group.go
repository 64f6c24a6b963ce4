package health

// standing says whether an instance counts in its service's judgement.
type standing uint8

const (
	uncountedYet standing = iota // too new, or on its way out
	unproven                     // old enough, but nothing was ever heard of it
	countedFully
)

// tally is how one instance is entered in its groups, or a group in a whole.
type tally struct {
	in          bool
	optional    bool // a group only
	young       bool // an instance only
	status      Status
	standing    standing
	unconfirmed bool
	zone        string
}

// group is the counts of some instances of one service, and what was last
// published of them: of all, or of those in one zone.
type group struct {
	state State
	all   [NumStatuses]int
	// Those that count, and those that would only count if no other does: an
	// address nobody ever answered at must not outvote instances that live.
	counted, unproven [NumStatuses]int
	unconfirmed       int
	young             int // that have registered just now
	inWhole           tally
}

// enter adds (n = 1) or takes back (n = -1) an instance.
func (g *group) enter(t tally, n int) {
	if !t.in {
		return
	}
	g.all[t.status] += n
	switch t.standing {
	case countedFully:
		g.counted[t.status] += n
	case unproven:
		g.unproven[t.status] += n
	}
	if t.unconfirmed {
		g.unconfirmed += n
	}
	if t.young {
		g.young += n
	}
}

// judging returns the counts the rule looks at.
func (g *group) judging() *[NumStatuses]int {
	if total(&g.counted) == 0 {
		return &g.unproven
	}
	return &g.counted
}

// judge returns what a rule makes of the group.
func (g *group) judge(r Rule, minAvailable int) (Status, Counts) {
	counts := Counts{By: g.all, Counted: total(g.judging()), Unconfirmed: g.unconfirmed, Rule: r}
	return r.Aggregate(&g.all, g.judging(), minAvailable, g.young > 0), counts
}

// tally says how the group is to be entered in a whole.
func (g *group) tally(optional bool) tally {
	t := tally{in: true, status: g.state.Status, optional: optional}
	if g.state.Counts.Counted > 0 && !optional {
		t.standing = countedFully
	}
	return t
}
