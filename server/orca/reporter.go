package orca

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	grpcorca "google.golang.org/grpc/orca"

	"github.com/meshhealth/meshhealth/health"
)

// refreshEvery is the largest age of a report. So the gauges are read at most ten times a second,
// and not for each call.
const refreshEvery = 100 * time.Millisecond

// unset is the value of grpc-go for a figure that a report does not have.
const unset = -1

// Reporter measures the load of one server. Create it with New.
type Reporter struct {
	cfg  Config
	rate rate
	// kept is the last report. measuring is held while a new one is made; then the other
	// callers use the last one.
	kept      atomic.Pointer[report]
	measuring sync.Mutex
}

// report is the load at one time. It is immutable.
type report struct {
	at      time.Time
	metrics grpcorca.ServerMetrics
}

// New returns a reporter. The error names all invalid fields of cfg.
func New(cfg Config) (*Reporter, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("orca.Config: %w", err)
	}
	cfg.setDefaults()
	cfg.Named = maps.Clone(cfg.Named)
	r := &Reporter{cfg: cfg}
	r.rate.begin(time.Now())
	return r, nil
}

// ServerMetrics returns the present load, at most 100 ms old. It implements the interface
// ServerMetricsProvider of google.golang.org/grpc/orca.
func (r *Reporter) ServerMetrics() *grpcorca.ServerMetrics {
	m := r.current().metrics
	// grpc-go adds the figures of a call to these maps.
	m.Utilization = maps.Clone(m.Utilization)
	m.RequestCost, m.NamedMetrics = map[string]float64{}, map[string]float64{}
	return &m
}

func (r *Reporter) current() *report {
	now, last := time.Now(), r.kept.Load()
	if last != nil && (now.Sub(last.at) < refreshEvery || !r.measuring.TryLock()) {
		return last
	}
	if last == nil {
		r.measuring.Lock()
	}
	defer r.measuring.Unlock()
	fresh := &report{at: now, metrics: r.measure(now)}
	r.kept.Store(fresh)
	return fresh
}

// measure reads the gauges, the rates and the status.
func (r *Reporter) measure(now time.Time) grpcorca.ServerMetrics {
	factor := 1.0
	if status, _ := r.cfg.Server.StatusOf(r.cfg.Service); status == health.Degraded {
		factor = r.cfg.DegradedFactor
	}
	m := grpcorca.ServerMetrics{
		CPUUtilization: r.utilisation(r.cfg.CPU, factor),
		AppUtilization: r.utilisation(r.cfg.Application, factor),
		MemUtilization: min(1, r.utilisation(r.cfg.Memory, factor)),
		Utilization:    make(map[string]float64, len(r.cfg.Named)),
	}
	m.QPS, m.EPS = r.rate.perSecond(now)
	if r.cfg.Capacity != 0 {
		m.AppUtilization = m.QPS / r.cfg.Capacity * factor
	}
	for name, gauge := range r.cfg.Named {
		if u := r.utilisation(gauge, factor); u != unset {
			m.Utilization[name] = min(1, u)
		}
	}
	return m
}

func (r *Reporter) utilisation(g Gauge, factor float64) float64 {
	u, ok := g.read(r.cfg.Server)
	if !ok {
		return unset
	}
	return u * factor
}
