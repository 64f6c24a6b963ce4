package metrics

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Stats holds the values of those metrics that do not come from the feed.
type Stats struct {
	// Watchers is the number of open Watch streams.
	Watchers int
	// Followers is the number of instances that are followed, by the name of the health.Source from
	// which their status comes. A missing name counts as 0.
	Followers map[string]int
	// QueueWaiting is the number of transitions that wait for the store. QueueLost is the number of
	// transitions that were dropped since the start, because too many waited.
	QueueWaiting int
	QueueLost    uint64
	// CommitAge is the age of the commit in progress. It is 0 if no commit is in progress, or if
	// the commit is at most 2 s old.
	CommitAge time.Duration
	// StoreFailing reports that the last commit has failed, or that the commit in progress is older
	// than 2 s.
	StoreFailing bool
	// InsecureOpen reports that everybody may do everything.
	InsecureOpen bool
	// AccessFaults is the number of times that the file of the access policy was read again and could
	// not be used.
	AccessFaults uint64
	// LateWakes is how often the owner of the mesh was late since the start. LateAt is the time at
	// which the owner was late last; zero if never.
	LateWakes uint64
	LateAt    time.Time
	// Guards is the number of mass-failure guards that are tripped.
	Guards int
	// Overrides is the number of overrides that are set.
	Overrides int
	// Score is the health score of the coordinator, from 0 (good) to 7 (bad).
	Score int
	// Coverage is the fraction, from 0 to 1, of the polls planned for the last 30 s that were
	// really made.
	Coverage float64
	// Breakers is the number of addresses by the state of their circuit breaker. A missing state
	// counts as 0.
	Breakers map[string]int
	// Retries is the number of calls to targets that were retried since the start.
	// RetriesDenied is the number of retries that the retry budget did not allow.
	Retries, RetriesDenied uint64
	// Flooding is the number of instances that exceeded their message budget within the last
	// minute. Dropped is the number of messages that were ignored since the start, because they
	// exceeded a budget.
	Flooding int
	Dropped  uint64
	// LogDropped is the number of log records that were dropped since the start because
	// the log was too slow.
	LogDropped uint64
	// Certificates are the own certificates and roots. The first 2,000 have series.
	Certificates []Certificate
	// XDSStreams is the number of open xDS streams by their kind, such as "plain world".
	XDSStreams map[string]int
	// XDSBehind is the number of resources whose current version an xDS client has not accepted.
	XDSBehind int
	// XDSResponses and XDSRejections are the numbers of responses to xDS clients, and of those that
	// were rejected, since the start.
	XDSResponses, XDSRejections uint64
}

// Certificate is what the metrics say about the certificate files of one section of the configuration.
type Certificate struct {
	Section     string
	Expires     time.Time // time at which the own certificate expires; zero if the section has none
	FailedReads uint64    // number of times the files were read again and could not be used
}

// breakerStates returns all values of the metric label for the state of a circuit breaker. Other
// states get no series, so that the number of series is bounded.
func breakerStates() []string { return []string{"closed", "open", "half-open"} }

// collect sends the series of all values in s.
func (s *Stats) collect(out sink) {
	out.gauge(watchers, float64(s.Watchers))
	for mode, n := range s.followers() {
		out.gauge(followers, float64(n), mode)
	}
	out.gauge(storeWaiting, float64(s.QueueWaiting))
	out.counter(storeLost, float64(s.QueueLost))
	out.gauge(storeCommitAge, s.CommitAge.Seconds())
	out.gauge(storeFailing, number(s.StoreFailing))
	out.gauge(insecureOpen, number(s.InsecureOpen))
	out.counter(accessFaults, float64(s.AccessFaults))
	out.counter(lateWakes, float64(s.LateWakes))
	out.counter(logDropped, float64(s.LogDropped))
	out.gauge(guards, float64(s.Guards))
	out.gauge(score, float64(s.Score))
	out.gauge(overrides, float64(s.Overrides))
	s.collectWatch(out)
	s.collectCertificates(out, time.Now())
	for kind, n := range s.XDSStreams {
		out.gauge(xdsStreams, float64(n), kind)
	}
	out.gauge(xdsBehind, float64(s.XDSBehind))
	out.counter(xdsResponses, float64(s.XDSResponses))
	out.counter(xdsRejections, float64(s.XDSRejections))
	if !s.LateAt.IsZero() {
		out.gauge(lastLateWake, float64(s.LateAt.UnixMilli())/1000)
	}
}

// number returns the value of a metric that is 1 or 0.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// collectWatch sends the series that describe how instances are followed.
func (s *Stats) collectWatch(out sink) {
	out.gauge(coverage, s.Coverage)
	for _, state := range breakerStates() {
		out.gauge(breakers, float64(s.Breakers[state]), state)
	}
	out.counter(retries, float64(s.Retries))
	out.counter(retriesDenied, float64(s.RetriesDenied))
	out.gauge(flooding, float64(s.Flooding))
	out.counter(dropped, float64(s.Dropped))
}

func (s *Stats) collectCertificates(out sink, now time.Time) {
	for _, c := range s.Certificates[:min(len(s.Certificates), DefaultMaxServices)] {
		if !c.Expires.IsZero() {
			out.gauge(certificateLeft, c.Expires.Sub(now).Seconds(), c.Section)
		}
		out.counter(certificateFailures, float64(c.FailedReads), c.Section)
	}
}

// followers returns the number of followed instances for every source. It ignores names in
// s.Followers that are no source, so that the metric label has a bounded number of values.
func (s *Stats) followers() map[string]int {
	all := map[string]int{}
	for mode := health.SourceNone; mode <= health.SourcePoll; mode++ {
		all[mode.String()] = s.Followers[mode.String()]
	}
	return all
}
