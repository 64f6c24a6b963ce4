package health

import "time"

// awareness is how well we are ourselves, from 0 to 7: who wakes late, or loses
// sight of what has nothing to do with each other, had better wait longer before
// calling others dead. After the awareness of HashiCorp's memberlist (Lifeguard).
type awareness struct {
	score int
	at    moment // when it was last raised, or fell
	// doubted are the services one of whose instances was lost sight of lately.
	doubted   map[string]bool
	doubtedAt moment // the first of them
	unwellAt  moment // when it was last noted that we lack something
}

const (
	maxScore = 7
	// unrelated services lost sight of within calm speak against us.
	unrelated = 3
	// calm is how long it takes to fall by one.
	calm = 10 * time.Second
)

// raise notes that something speaks against us.
func (a *awareness) raise(now moment) {
	a.score, a.at = min(maxScore, a.current(now)+1), now
}

// unwell notes that we lack something: once a second, since all who meet with it
// say so.
func (a *awareness) unwell(now moment) {
	if a.unwellAt == 0 || now-a.unwellAt >= moment(time.Second) {
		a.unwellAt = now
		a.raise(now)
	}
}

// lost notes that sight was lost of an instance of a service.
func (a *awareness) lost(now moment, service string) {
	if a.doubted == nil || now-a.doubtedAt > moment(calm) {
		a.doubted, a.doubtedAt = map[string]bool{}, now
	}
	a.doubted[service] = true
	if len(a.doubted) == unrelated {
		a.doubted = nil
		a.raise(now)
	}
}

// current is the score, less what has fallen since.
func (a *awareness) current(now moment) int {
	return max(0, a.score-int((now-a.at)/moment(calm)))
}

// Score returns how badly we are ourselves at the last time that was passed in,
// from 0 (well) to 7. Time-outs of who observes for this mesh should be longer by
// Score times.
func (m *Mesh) Score() int { return m.aware.current(m.now) }

// patience is UnreachableAfter, and up to twice that if we are not well.
func (m *Mesh) patience() time.Duration {
	return m.policy.UnreachableAfter + m.policy.UnreachableAfter*time.Duration(m.Score())/maxScore
}
