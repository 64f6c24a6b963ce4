package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"
)

// scenario is a function that causes one fault around a coordinator and checks the
// consequences. about describes the fault for the user.
type scenario struct {
	name, about string
	run         func(r *rig, v *Verdict) error
}

// scenarios has all scenarios in the order in which they run.
var scenarios = []scenario{
	{"pause", "the coordinator is suspended for 10 s", pause},
	{"kill", "the coordinator is killed under load and started again", kill},
	{"starve", "the coordinator is suspended every other 100 ms, for 30 s", starve},
	{"storm", "every target flips again and again", storm},
	{"blackhole", "half of the mesh does not answer", blackhole},
	{"silent", "two single targets do not answer", silent},
	{"flap", "two targets flip several times", flap},
	{"slowdisk", "the coordinator's disk is slow", slowDisk},
	{"slowwatcher", "some watchers stop reading", slowWatcher},
	{"deploy", "100 services with 20 instances are replaced in a rolling deployment", deploy},
	{"scale", "a service grows from 3 to 30 instances, and then to none", scale},
	{"reuse", "other servers take the addresses of killed processes", reuse},
	{"stubs", "health services are half-implemented", stubs},
}

// Names returns the names of the scenarios in the order in which they run.
func Names() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// Run runs the scenarios one after the other and returns their verdicts. An error means
// that a scenario could not run. Run then returns the verdicts of the scenarios before it.
func Run(ctx context.Context, cfg Config) (all []Verdict, err error) {
	if cfg.Rounds == 0 {
		cfg.Rounds = DefaultRounds
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Int()
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if !supported {
		return nil, ErrUnsupported
	}
	dir, err := os.MkdirTemp("", "meshhealth-chaos-")
	if err != nil {
		return nil, err
	}
	if cfg.Keep {
		cfg.Progress("logs and data are kept in " + dir)
	} else {
		defer os.RemoveAll(dir) //nolint:errcheck // if RemoveAll fails, the system removes the temporary folder later
	}
	for _, s := range scenarios {
		if len(cfg.Only) > 0 && !slices.Contains(cfg.Only, s.name) {
			continue
		}
		v, err := s.execute(ctx, &cfg, dir)
		switch {
		case ctx.Err() != nil:
			return all, fmt.Errorf("%s: interrupted", s.name)
		case err != nil:
			return all, fmt.Errorf("%s: %w", s.name, err)
		}
		all = append(all, v)
		if cfg.Done != nil {
			cfg.Done(v)
		}
	}
	return all, nil
}

// execute runs one scenario and ends all processes that the scenario started.
func (s *scenario) execute(ctx context.Context, cfg *Config, dir string) (Verdict, error) {
	v := Verdict{Scenario: s.name}
	r, err := newRig(ctx, cfg, dir, s.name)
	if err != nil {
		return v, err
	}
	defer r.close()
	began := time.Now()
	r.progress("%s", s.about)
	err = s.run(r, &v)
	v.Took = time.Since(began)
	switch {
	case err != nil && isTimeout(err):
		v.require(false, "%v", err)
	case err != nil:
		return v, err
	case v.Skipped == "":
		v.requireNoErrors()
	}
	r.progress("%s after %v", v.Word(), v.Took.Round(100*time.Millisecond))
	return v, nil
}
