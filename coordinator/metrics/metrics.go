package metrics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// Config says what is measured. Registerer and Feed are required.
type Config struct {
	// Registerer gets the metrics while Run runs.
	Registerer prometheus.Registerer
	Feed       *feed.Feed
	// MaxInstances and MaxServices are how many have series of their own: the
	// first, by name. 0 means 2,000; negative means none.
	MaxInstances, MaxServices int
	// Stats returns what the feed does not tell; it is called at each scrape.
	// nil: the metrics it feeds do not exist.
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

// Metrics follows a feed, and is the prometheus.Collector of what it says.
type Metrics struct {
	cfg         Config
	model       model
	transitions *prometheus.CounterVec
	latency     prometheus.Histogram
	gaps        prometheus.Counter
}

// New returns the metrics of a feed. Nothing is registered before Run.
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
	}, nil
}

// Run registers the metrics, follows the feed until ctx ends, and takes them
// back: what nobody updates any more must not be scraped.
func (m *Metrics) Run(ctx context.Context) error {
	reader := m.cfg.Feed.NewReader(feed.Interest{})
	// The first step is a snapshot and never waits. It comes before the
	// registration, so that no scrape sees an empty mesh.
	if err := m.next(ctx, reader); err != nil {
		return nil
	}
	if err := m.cfg.Registerer.Register(m); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	defer m.cfg.Registerer.Unregister(m)
	for m.next(ctx, reader) == nil {
	}
	return nil
}

// next waits for one step and takes it in; its only error is the end of ctx.
func (m *Metrics) next(ctx context.Context, reader *feed.Reader) error {
	step, err := reader.Next(ctx)
	if err != nil {
		return err
	}
	m.take(&step, time.Now())
	return nil
}

func (m *Metrics) take(step *feed.Step, now time.Time) {
	switch {
	case step.Gap:
		m.gaps.Inc()
	case !step.Snapshot: // what is in a snapshot may be hours old
		m.observe(step.Entries, now)
	}
	for _, e := range m.model.take(step) {
		m.transitions.WithLabelValues(causeLabel(e.Cause), e.Status.String()).Inc()
	}
}

// observe enters how long the changes were on their way.
func (m *Metrics) observe(entries []*feed.Entry, now time.Time) {
	for _, e := range entries {
		m.latency.Observe(max(0, now.Sub(e.At)).Seconds())
	}
}

// causeLabel never returns "": to Prometheus that is no label at all.
func causeLabel(c health.Cause) string {
	if name := c.String(); name != "" {
		return name
	}
	return "none"
}
