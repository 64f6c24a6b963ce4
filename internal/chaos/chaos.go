package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Config says what to try.
type Config struct {
	// Only names scenarios; none means all.
	Only []string
	// Instances is how many targets those scenarios have whose number may be
	// chosen; 0 means that of each.
	Instances int
	// Rounds is how often the coordinator is killed; 0 means DefaultRounds.
	Rounds int
	// Keep leaves logs and data behind, and says where.
	Keep bool
	// Command returns a process that runs a command line of this program, and
	// ends when its stdin does; Host one that calls RunHost. Required.
	Command func(ctx context.Context, args ...string) *exec.Cmd
	Host    func(ctx context.Context) *exec.Cmd
	// Progress is told of each phase. Required.
	Progress func(line string)
	// Done is told of each scenario when it has ended; nil means nobody is.
	Done func(Verdict)
}

// What may be chosen.
const (
	DefaultRounds = 5
	MaxRounds     = 1000
	MinInstances  = 20
	MaxInstances  = 10_000
)

// ErrUnsupported: this system cannot stop a process and let it go on.
var ErrUnsupported = errors.New("chaos stops processes and lets them go on, which only Unix can")

// Names lists the scenarios.
func Names() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// Validate reports everything that is wrong, by the name of a flag.
func (c *Config) Validate() error {
	var errs []error
	for i, name := range c.Only {
		switch {
		case !slices.Contains(Names(), name):
			errs = append(errs, fmt.Errorf("--only: there is no scenario %q; allowed: %s", name, strings.Join(Names(), ", ")))
		case slices.Contains(c.Only[:i], name):
			errs = append(errs, fmt.Errorf("--only: %s is named twice; allowed: each once", name))
		}
	}
	if n := c.Instances; n != 0 && (n < MinInstances || n > MaxInstances) {
		errs = append(errs, fmt.Errorf("--instances: %d is out of range; allowed: %d to %d, 0 for the scenarios' own", n, MinInstances, MaxInstances))
	}
	if n := c.Rounds; n < 1 || n > MaxRounds {
		errs = append(errs, fmt.Errorf("--rounds: %d is out of range; allowed: 1 to %d", n, MaxRounds))
	}
	return errors.Join(errs...)
}

// instances returns how many targets a scenario has.
func (c *Config) instances(otherwise int) int {
	if c.Instances == 0 {
		return otherwise
	}
	return c.Instances
}

// Run tries the scenarios one after the other, and returns what each came to.
// The error says why one could not be tried; those after it were not.
func Run(ctx context.Context, cfg Config) (all []Verdict, err error) {
	if cfg.Rounds == 0 {
		cfg.Rounds = DefaultRounds
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
		defer os.RemoveAll(dir) //nolint:errcheck // the system clears its temporary files itself
	}
	for _, s := range scenarios {
		if len(cfg.Only) > 0 && !slices.Contains(cfg.Only, s.name) {
			continue
		}
		v, err := s.try(ctx, &cfg, dir)
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

// try runs one scenario and ends all it has started.
func (s *scenario) try(ctx context.Context, cfg *Config, dir string) (Verdict, error) {
	v := Verdict{Scenario: s.name}
	r, err := newRig(ctx, cfg, dir, s.name)
	if err != nil {
		return v, err
	}
	defer r.close()
	began := time.Now()
	r.say("%s", s.about)
	err = s.run(r, &v)
	v.Took = time.Since(began)
	switch {
	case err != nil && failed(err):
		v.require(false, "%v", err)
	case err != nil:
		return v, err
	case v.Skipped == "":
		v.conclude()
	}
	r.say("%s after %v", v.Word(), v.Took.Round(100*time.Millisecond))
	return v, nil
}
