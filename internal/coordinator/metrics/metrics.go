package metrics

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// Config configures Metrics. Feed is required.
type Config struct {
	Feed *feed.Feed
	// MaxInstances and MaxServices limit the number of instances and services that have series of
	// their own. The first ones in the order of their names have them. 0 means 2,000; a negative
	// number means none.
	MaxInstances, MaxServices int
	// Stats returns the values that are not in the feed. It is called at each scrape. If Stats is
	// nil, the metrics with these values do not exist.
	Stats func() Stats
}

// The defaults of Config.
const (
	DefaultMaxInstances = 2000
	DefaultMaxServices  = 2000
)

func (c *Config) setDefaults() {
	if c.MaxInstances == 0 {
		c.MaxInstances = DefaultMaxInstances
	}
	if c.MaxServices == 0 {
		c.MaxServices = DefaultMaxServices
	}
}

// Metrics is a prometheus.Collector of the metrics of a feed. Its methods may be called
// concurrently.
type Metrics struct {
	cfg         Config
	transitions *prometheus.CounterVec
	latency     prometheus.Histogram
	xdsLatency  prometheus.Histogram
}

// New returns the metrics of a feed. The caller registers them at a prometheus.Registerer, and
// calls Count for each publication.
func New(cfg Config) (*Metrics, error) {
	if cfg.Feed == nil {
		return nil, errors.New("metrics: Feed: is nil; a feed is required")
	}
	cfg.setDefaults()
	return &Metrics{cfg: cfg, transitions: newTransitions(), latency: newLatency(), xdsLatency: newXDSLatency()}, nil
}

// Count counts the transitions among changes that have just been published. It also records the
// time from each change until now in the latency histogram. It never blocks.
func (m *Metrics) Count(changes []health.Change) {
	now := time.Now()
	for i := range changes {
		c := &changes[i]
		m.latency.Observe(max(0, now.Sub(c.At)).Seconds())
		if scopeOf(c.ID) == instance && !c.Removed && c.From != c.Status {
			m.transitions.WithLabelValues(causeLabel(c.Cause), c.Status.String()).Inc()
		}
	}
}

// ObserveXDS records the time from a change until an xDS client has acknowledged it. It never blocks.
func (m *Metrics) ObserveXDS(latency time.Duration) { m.xdsLatency.Observe(latency.Seconds()) }

// causeLabel returns the label value of a cause. It never returns "", because Prometheus
// treats an empty label as absent.
func causeLabel(c health.Cause) string {
	if name := c.String(); name != "" {
		return name
	}
	return "none"
}
