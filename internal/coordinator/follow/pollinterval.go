package follow

import (
	"time"

	"github.com/meshhealth/meshhealth/internal/delay"
)

// pollInterval computes the interval between the polls of one target. The interval varies
// randomly by a tenth, so that targets are not polled at the same time again and again. The
// interval is shorter after a poll without an answer, or after a changed answer. It grows if
// many polls in a row have no answer. A follower keeps its pollInterval when the connection
// changes.
type pollInterval struct {
	every   time.Duration // usual interval while the answers do not change
	longest time.Duration // longest interval while the target does not answer; if the usual interval is longer, that interval is used
	// stableAfter is the number of equal answers in a row after which the interval is the usual
	// one again. It is RecoverAfter of the mesh policy.
	stableAfter int

	answer int32 // last answer: the number of a status of grpc.health.v1, or for an error the result of answerOf
	heard  bool  // at least one answer has come, so that the field answer is set
	alike  int   // number of equal answers in a row
	missed int   // number of polls in a row without an answer
}

// answered records an answer as a number. For a status it is the number of the status in
// grpc.health.v1. For an error it is the number that answerOf returns for errors of this kind.
func (p *pollInterval) answered(answer int32) {
	switch {
	case !p.heard && answer >= 0: // a first answer with a status is no change
		p.alike = p.stableAfter
	case answer != p.answer || p.missed > 0:
		p.alike = 1
	default:
		p.alike++
	}
	p.heard, p.answer, p.missed = true, answer, 0
}

// changes reports whether a new answer differs from the last one.
func (p *pollInterval) changes(answer int32) bool { return p.heard && p.answer != answer }

// short returns the interval after a poll without an answer or after a changed answer.
func (p *pollInterval) short() time.Duration { return min(p.every, max(time.Second, p.every/5)) }

// next returns the time until the next poll. random is a random number from 0 to 1.
func (p *pollInterval) next(random float64) time.Duration {
	switch {
	case p.missed >= openAfter:
		return max(p.every, backoff(p.missed-openAfter+1, random, p.longest))
	case p.missed > 0 || p.alike < p.stableAfter:
		// The random part makes the interval only longer. The registry counts two answers
		// separately only if they are at least a second apart.
		return delay.Between(p.short(), p.short()*11/10, random)
	}
	return delay.Around(p.every, random)
}

// answerOf returns the number with which pollInterval compares an error answer to other
// answers. Errors of one kind have the same number. The number is negative, because the number
// of a status is never negative.
func answerOf(found finding) int32 { return -1 - int32(found.kind) }
