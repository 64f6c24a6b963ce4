package promhealth

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// descs has the descriptions of the metrics of one server. Each metric has the name of the
// server as a constant label, so that several servers of one process can be registered.
type descs struct {
	checkStatus, checkDuration, checkRuns, lastSuccess, overdue, breakerOpen, serviceStatus *prometheus.Desc
}

func newDescs(service string) descs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("health_"+name, help, labels, prometheus.Labels{"service": service})
	}
	return descs{
		checkStatus:   desc("check_status", "Status of a check: 2 serving, 1 degraded, 0 not serving. Absent before the first run.", "check"),
		checkDuration: desc("check_duration_seconds", "Durations of the runs of a check.", "check"),
		checkRuns:     desc("check_runs_total", "Runs of a check, by result.", "check", "result"),
		lastSuccess:   desc("check_last_success_timestamp_seconds", "Unix time of the last run of a check that passed or warned. Absent if there is none.", "check"),
		overdue:       desc("check_overdue", "1 if a run of a check has not returned in time and still runs.", "check"),
		breakerOpen:   desc("check_breaker_open", "1 if so many runs of a check failed in a row that it runs less often.", "check"),
		serviceStatus: desc("service_status", "Status of a served name: 2 serving, 1 degraded, 0 not serving. Absent for all other statuses.", "name"),
	}
}

// bounds are the upper bounds, in seconds, of the histogram buckets for the durations of runs.
var bounds = func() (all [len(server.DurationBounds)]float64) {
	for i, d := range server.DurationBounds {
		all[i] = d.Seconds()
	}
	return all
}()

// Collector collects the metrics of one server. It may be used from any goroutine.
type Collector struct {
	server *server.Server
	descs  descs
}

// NewCollector returns a collector for the checks of s. All series have the label "service" with
// the server's Config.Service. So a registry accepts collectors of several servers if their
// names differ. Each check has about 25 series: do not use the collector with thousands of
// checks.
func NewCollector(s *server.Server) *Collector {
	return &Collector{s, newDescs(s.Statuses()[0].ID.Service)}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	d := &c.descs
	for _, one := range []*prometheus.Desc{d.checkStatus, d.checkDuration, d.checkRuns, d.lastSuccess, d.overdue, d.breakerOpen, d.serviceStatus} {
		ch <- one
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.server.Statuses() {
		gauge(ch, c.descs.serviceStatus, s.Status, s.ID.Service)
	}
	checks := c.server.Checks()
	for i := range checks {
		c.descs.collect(ch, &checks[i])
	}
}

func (d *descs) collect(ch chan<- prometheus.Metric, c *server.CheckInfo) {
	gauge(ch, d.checkStatus, c.Status, c.Name)
	ch <- prometheus.MustNewConstHistogram(d.checkDuration, c.Runs, c.Took.Seconds(), buckets(c), c.Name)
	for r, n := range c.Results {
		ch <- prometheus.MustNewConstMetric(d.checkRuns, prometheus.CounterValue, float64(n), c.Name, server.Result(r).String())
	}
	if !c.LastSuccess.IsZero() {
		ch <- prometheus.MustNewConstMetric(d.lastSuccess, prometheus.GaugeValue, float64(c.LastSuccess.UnixMilli())/1000, c.Name)
	}
	ch <- prometheus.MustNewConstMetric(d.overdue, prometheus.GaugeValue, number(c.Overdue), c.Name)
	ch <- prometheus.MustNewConstMetric(d.breakerOpen, prometheus.GaugeValue, number(c.BreakerOpen), c.Name)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// gauge sends a metric to ch whose value is the number for the status s. It sends nothing if
// health.Status.Metric defines no number for s.
func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, s health.Status, label string) {
	if value, ok := s.Metric(); ok {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
	}
}

// buckets returns, for each upper bound in seconds, the number of runs that took at most this long.
func buckets(c *server.CheckInfo) map[float64]uint64 {
	all := make(map[float64]uint64, len(bounds))
	var n uint64
	for i, bound := range bounds {
		n += c.Durations[i]
		all[bound] = n
	}
	return all
}
