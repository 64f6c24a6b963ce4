package promhealth

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("health_"+name, help, labels, nil)
}

var (
	checkStatus   = desc("check_status", "Status of a check: 2 serving, 1 degraded, 0 not serving; absent before its first run.", "check")
	checkDuration = desc("check_duration_seconds", "How long the runs of a check took.", "check")
	checkRuns     = desc("check_runs_total", "Runs of a check, by result.", "check", "result")
	lastSuccess   = desc("check_last_success_timestamp_seconds", "When a check last passed or warned, in Unix time; absent if never.", "check")
	overdue       = desc("check_overdue", "Whether a run of a check has not returned in time and still runs.", "check")
	breakerOpen   = desc("check_breaker_open", "Whether so many runs of a check failed in a row that it is only probed now.", "check")
	serviceStatus = desc("service_status", "Status of a service: 2 serving, 1 degraded, 0 not serving; absent for all other states.", "service")
)

// bounds are the buckets of the durations, in seconds.
var bounds = func() (all [len(server.DurationBounds)]float64) {
	for i, d := range server.DurationBounds {
		all[i] = d.Seconds()
	}
	return all
}()

// Collector is the metrics of one server.
type Collector struct{ server *server.Server }

// NewCollector returns the metrics of a server's checks. There are some series
// for each check: bound their number, or leave it out for thousands of checks.
func NewCollector(s *server.Server) *Collector { return &Collector{s} }

// Describe implements prometheus.Collector.
func (*Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{checkStatus, checkDuration, checkRuns, lastSuccess, overdue, breakerOpen, serviceStatus} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.server.Statuses() {
		gauge(ch, serviceStatus, s.Status, s.ID.Service)
	}
	checks := c.server.Checks()
	for i := range checks {
		collect(ch, &checks[i])
	}
}

func collect(ch chan<- prometheus.Metric, c *server.CheckInfo) {
	gauge(ch, checkStatus, c.Status, c.Name)
	ch <- prometheus.MustNewConstHistogram(checkDuration, c.Runs, c.Took.Seconds(), buckets(c), c.Name)
	for r, n := range c.Results {
		ch <- prometheus.MustNewConstMetric(checkRuns, prometheus.CounterValue, float64(n), c.Name, server.Result(r).String())
	}
	if !c.LastSuccess.IsZero() {
		ch <- prometheus.MustNewConstMetric(lastSuccess, prometheus.GaugeValue, float64(c.LastSuccess.UnixMilli())/1000, c.Name)
	}
	ch <- prometheus.MustNewConstMetric(overdue, prometheus.GaugeValue, number(c.Overdue), c.Name)
	ch <- prometheus.MustNewConstMetric(breakerOpen, prometheus.GaugeValue, number(c.BreakerOpen), c.Name)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// gauge sends a status, if it is one that has a number.
func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, s health.Status, label string) {
	if value, ok := s.Metric(); ok {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
	}
}

// buckets returns the cumulative counts by upper bound.
func buckets(c *server.CheckInfo) map[float64]uint64 {
	all := make(map[float64]uint64, len(bounds))
	var n uint64
	for i, bound := range bounds {
		n += c.Durations[i]
		all[bound] = n
	}
	return all
}
