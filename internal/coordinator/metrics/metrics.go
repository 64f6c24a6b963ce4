package metrics

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// Config configures Metrics. Registerer and Feed are required.
type Config struct {
	// Registerer is where Run registers the metrics; Run removes them when it ends.
	Registerer prometheus.Registerer
	Feed       *feed.Feed
	// MaxInstances and MaxServices limit the instances and services with series of their
	// own, in the order of their names. 0 means 2,000; a negative number means none.
	MaxInstances, MaxServices int
	// Stats returns the values that are not in the feed. It is called at each scrape. If
	// it is nil, the metrics with these values do not exist.
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

func (c *Config) validate() error {
	var errs []error
	if c.Registerer == nil {
		errs = append(errs, errors.New("metrics: Registerer: is nil; a registerer is required"))
	}
	if c.Feed == nil {
		errs = append(errs, errors.New("metrics: Feed: is nil; a feed is required"))
	}
	return errors.Join(errs...)
}

// Metrics follows a feed and implements prometheus.Collector.
type Metrics struct {
	cfg         Config
	model       model
	transitions *prometheus.CounterVec
	latency     prometheus.Histogram
	gaps        prometheus.Counter
	registered  chan struct{} // closed when Run has registered the metrics
}

// New returns the metrics of a feed. Run registers them.
func New(cfg Config) (*Metrics, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	return &Metrics{
		cfg:         cfg,
		model:       model{rows: newRows()},
		transitions: newTransitions(),
		latency:     newLatency(),
		gaps:        newGaps(),
		registered:  make(chan struct{}),
	}, nil
}

// Run registers the metrics and follows the feed until ctx ends. Then it unregisters the metrics,
// so that no scrape returns old values.
func (m *Metrics) Run(ctx context.Context) error {
	reader := m.cfg.Feed.NewReader(feed.Interest{})
	// The first step is a snapshot, for which next never waits. It is applied before the
	// registration, so that no scrape shows an empty mesh.
	if err := m.next(ctx, reader); err != nil {
		return nil
	}
	if err := m.cfg.Registerer.Register(m); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	defer m.cfg.Registerer.Unregister(m)
	close(m.registered)
	for m.next(ctx, reader) == nil {
	}
	return nil
}

// Registered returns a channel that is closed when Run has registered the metrics.
func (m *Metrics) Registered() <-chan struct{} { return m.registered }

// next waits for one step of the feed and applies it. It returns an error only if ctx
// ends.
func (m *Metrics) next(ctx context.Context, reader *feed.Reader) error {
	step, err := reader.Next(ctx)
	if err != nil {
		return err
	}
	m.observeStep(&step, time.Now())
	return nil
}

func (m *Metrics) observeStep(step *feed.Step, now time.Time) {
	switch {
	case step.Gap:
		m.gaps.Inc()
	case !step.Snapshot: // not for a snapshot, whose entries may be hours old
		m.observe(step.Entries, now)
	}
	for _, e := range m.model.apply(step) {
		m.transitions.WithLabelValues(causeLabel(e.Cause), e.Status.String()).Inc()
	}
}

// observe records, for each entry, the time from its change until now.
func (m *Metrics) observe(entries iter.Seq[*feed.Entry], now time.Time) {
	for e := range entries {
		m.latency.Observe(max(0, now.Sub(e.At)).Seconds())
	}
}

// causeLabel returns the label value of a cause. It never returns "", because Prometheus
// treats an empty label as absent.
func causeLabel(c health.Cause) string {
	if name := c.String(); name != "" {
		return name
	}
	return "none"
}
