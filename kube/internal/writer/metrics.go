package writer

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/kube/internal/plan"
)

// Metrics are the metrics of a process. NewMetrics returns them. Their methods may be called
// concurrently.
type Metrics struct {
	leading, blind                          prometheus.Gauge
	objects                                 *prometheus.GaugeVec
	undecided, waiting, inFlight, instances prometheus.Gauge
	imported, faulty                        prometheus.Gauge
	decided                                 prometheus.Counter
	writes                                  *prometheus.CounterVec
	seconds                                 prometheus.Histogram
	actions                                 *prometheus.CounterVec

	lastDecided uint64
	turned      atomic.Int64 // when the loop of a writer last turned, in ns since 1970; 0: none runs
}

// stuckAfter is the time without a turn of the loop after which it is stuck.
const stuckAfter = 30 * time.Second

// Stuck reports whether a writer runs and its loop does not turn any more.
func (m *Metrics) Stuck(now time.Time) bool {
	turned := m.turned.Load()
	return turned != 0 && now.UnixNano()-turned > int64(stuckAfter)
}

var outcomes = [...]string{
	plan.Written: "written", plan.Conflict: "conflict", plan.Refused: "refused", plan.Throttled: "throttled", plan.Failed: "failed",
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "meshhealth_kube_" + name, Help: help})
		r.MustRegister(g)
		return g
	}
	m := &Metrics{
		leading:   gauge("leading", "1 if this replica leads and writes, else 0."),
		blind:     gauge("blind", "1 if the coordinator has been away for more than a minute, else 0."),
		undecided: gauge("undecided_objects", "Objects of which the coordinator has said nothing yet."),
		waiting:   gauge("waiting_objects", "Objects that wait for a write."),
		inFlight:  gauge("writes_in_flight", "Writes that wait for the answer of the API server."),
		instances: gauge("instances", "Instances of the mesh that this replica knows."),
		imported:  gauge("imported_pods", "Pods that this replica keeps registered."),
		faulty:    gauge("faulty_objects", "Objects whose labels or annotations are not valid."),
		objects: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "meshhealth_kube_objects", Help: "Objects that are followed, by kind.",
		}, []string{"kind"}),
		decided: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "meshhealth_kube_decisions_total", Help: "Changes of what the condition of an object should be.",
		}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "meshhealth_kube_writes_total", Help: "Writes to the API server, by kind and outcome.",
		}, []string{"kind", "outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "meshhealth_kube_write_seconds", Help: "How long writes took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "meshhealth_kube_registrations_total", Help: "Changes of the registrations of imported Pods, by result.",
		}, []string{"result"}),
	}
	r.MustRegister(m.objects, m.decided, m.writes, m.seconds, m.actions)
	return m
}

func (m *Metrics) leads(is bool) {
	m.leading.Set(number(is))
	m.lastDecided = 0 // a new planner counts from 0
	m.turned.Store(0)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *Metrics) stats(s plan.Stats, blind bool) {
	m.blind.Set(number(blind))
	m.undecided.Set(float64(s.Undecided))
	m.waiting.Set(float64(s.Waiting))
	m.inFlight.Set(float64(s.InFlight))
	m.instances.Set(float64(s.Instances))
	m.imported.Set(float64(s.Imported))
	m.faulty.Set(float64(s.Faulty))
	for kind, n := range s.Objects {
		m.objects.WithLabelValues(plan.Kind(kind).String()).Set(float64(n))
	}
	m.decided.Add(float64(s.Decided - m.lastDecided))
	m.lastDecided = s.Decided
}

func (m *Metrics) written(w *written) {
	m.writes.WithLabelValues(w.Write.Kind.String(), outcomes[w.Outcome]).Inc()
	m.seconds.Observe(w.took.Seconds())
}

func (m *Metrics) acted(results []plan.ActionResult) {
	for _, r := range results {
		result := "done"
		if r.Err != nil || r.Action.Conflict {
			result = "failed"
		}
		m.actions.WithLabelValues(result).Inc()
	}
}
