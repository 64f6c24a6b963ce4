package orca

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/server"
)

const (
	// DefaultDegradedFactor is the default of Config.DegradedFactor. With it, one degraded
	// instance beside two healthy ones receives 1/15 of the traffic. This is also its share if
	// the coordinator routes: 100 - 140 × 2/3 = 6.7 %.
	DefaultDegradedFactor = 7
	// MinInterval is the shortest and the default time between two reports out of band. It is a
	// limit of grpc-go.
	MinInterval = 30 * time.Second

	maxDegradedFactor = 1000
	maxNamed          = 32  // gauges in Config.Named
	maxNameBytes      = 255 // bytes of a name in Config.Named
)

// Config configures a Reporter. Server is required, and at least one of Capacity, Application,
// CPU, Memory and Named. Clients of grpc need one of the first three.
type Config struct {
	// Server is the server whose gauges and status are reported.
	Server *server.Server
	// Service is the name whose status raises the load: a name that Server serves. Empty
	// means the whole server.
	Service string
	// Capacity is the number of calls per second that keep the instance fully busy. If it is
	// not 0, the application utilisation is the present calls per second / Capacity.
	Capacity float64
	// Application, CPU and Memory are the gauges of these utilisations. Application is not
	// allowed beside Capacity.
	Application, CPU, Memory Gauge
	// Named are the gauges of other utilisations, at most 32, by the name in the reports.
	Named map[string]Gauge
	// DegradedFactor multiplies every utilisation while Service is DEGRADED: 1 to 1000. 0
	// means DefaultDegradedFactor. Clients divide by the utilisation, so a factor f gives the
	// instance 1/f of the traffic of a healthy one. If all instances are DEGRADED, the traffic
	// is as before.
	//
	// One instance does not know how many others are DEGRADED. Where half of the instances
	// may be, a factor of 7/3 gives them the share that the coordinator would give.
	DegradedFactor float64
	// NoTrailers means that replies have no report in their trailers. Calls are still counted,
	// for reports out of band.
	NoTrailers bool
	// Interval is the shortest time between two reports out of band: MinInterval or more; 0
	// means MinInterval. A client may ask for a longer one.
	Interval time.Duration
}

// Gauge selects a value that a check observes (server.Observe). The zero value selects none. While
// the check has observed nothing, reports do not have the utilisation.
type Gauge struct {
	// Check is the name of the check. The check may be added later.
	Check string
	// Full is the value that means fully used, for example 100 for a percentage; 0 means 1.
	Full float64
}

func (c *Config) setDefaults() {
	if c.DegradedFactor == 0 {
		c.DegradedFactor = DefaultDegradedFactor
	}
	if c.Interval == 0 {
		c.Interval = MinInterval
	}
}

// validate returns an error that names each invalid field, or nil.
func (c *Config) validate() error {
	var f fields.Errors
	switch {
	case c.Server == nil:
		f.Addf("Server", "is nil")
	default:
		if _, ok := c.Server.StatusOf(c.Service); !ok {
			f.Addf("Service", "is %q; allowed: a name that Server serves, empty for the whole server", c.Service)
		}
	}
	if !(c.Capacity >= 0) || math.IsInf(c.Capacity, 0) {
		f.Addf("Capacity", "is %v; allowed: more than 0, 0 for none", c.Capacity)
	}
	c.validateGauges(&f)
	if c.DegradedFactor != 0 && !(c.DegradedFactor >= 1 && c.DegradedFactor <= maxDegradedFactor) {
		f.Addf("DegradedFactor", "is %v; allowed: 1 to %d, 0 for %d", c.DegradedFactor, maxDegradedFactor, DefaultDegradedFactor)
	}
	if c.Interval != 0 && c.Interval < MinInterval {
		f.Addf("Interval", "is %v; allowed: %v or more, 0 for %v", c.Interval, MinInterval, MinInterval)
	}
	return f.Join()
}

func (c *Config) validateGauges(f *fields.Errors) {
	if c.Capacity == 0 && c.Application.Check == "" && c.CPU.Check == "" && c.Memory.Check == "" && len(c.Named) == 0 {
		f.Addf("Capacity", "is 0, and no gauge is set; allowed: Capacity or at least one gauge")
	}
	if c.Capacity != 0 && c.Application.Check != "" {
		f.Addf("Application.Check", "is %q beside Capacity; allowed: one of them", c.Application.Check)
	}
	c.Application.validate(f, "Application")
	c.CPU.validate(f, "CPU")
	c.Memory.validate(f, "Memory")
	if len(c.Named) > maxNamed {
		f.Addf("Named", "has %d gauges; allowed: at most %d", len(c.Named), maxNamed)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Named)) {
		field := fmt.Sprintf("Named[%.*q]", maxNameBytes, name)
		if name == "" || len(name) > maxNameBytes {
			f.Addf(field, "has a name of %d bytes; allowed: 1 to %d", len(name), maxNameBytes)
		}
		g := c.Named[name]
		if g.Check == "" {
			f.Addf(field+".Check", "is empty; allowed: the name of a check")
		}
		g.validate(f, field)
	}
}

func (g *Gauge) validate(f *fields.Errors, field string) {
	if !(g.Full >= 0) || math.IsInf(g.Full, 0) {
		f.Addf(field+".Full", "is %v; allowed: more than 0, 0 for 1", g.Full)
	}
}

// read returns the utilisation that the gauge shows. ok is false if there is none.
func (g *Gauge) read(s *server.Server) (utilisation float64, ok bool) {
	if g.Check == "" {
		return 0, false
	}
	value, _, ok := s.Observed(g.Check)
	if !ok || !(value >= 0) || math.IsInf(value, 0) {
		return 0, false
	}
	if g.Full != 0 {
		value /= g.Full
	}
	return value, true
}
