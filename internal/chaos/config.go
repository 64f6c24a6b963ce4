package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// Config configures [Run].
type Config struct {
	// Only names the scenarios to run. Empty means all.
	Only []string
	// Instances is the number of targets in scenarios that let it be chosen. 0 means
	// the default of each scenario.
	Instances int
	// Rounds is how often the scenario kill kills the coordinator. 0 means
	// DefaultRounds.
	Rounds int
	// Keep says that Run keeps the logs and the data, and reports their folder.
	Keep bool
	// Command returns a process that runs a command line of this program. Host returns
	// a process that calls RunHost. Both processes must end when their stdin ends.
	// Required.
	Command func(ctx context.Context, args ...string) *exec.Cmd
	Host    func(ctx context.Context) *exec.Cmd
	// Progress is called with one line for each phase. Required.
	Progress func(line string)
	// Done is called with the verdict of each scenario when the scenario has ended. It may
	// be nil.
	Done func(Verdict)
}

// The limits and defaults of [Config].
const (
	DefaultRounds = 5
	MaxRounds     = 1000
	MinInstances  = 20
	MaxInstances  = 10_000
)

// ErrUnsupported means that this system cannot suspend and resume processes.
var ErrUnsupported = errors.New("chaos suspends and resumes processes, which only Unix supports")

// Validate returns all invalid fields, joined. Each error names the flag of the chaos
// command.
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

// instances returns c.Instances, or otherwise if c.Instances is 0. otherwise is the default
// of the scenario.
func (c *Config) instances(otherwise int) int {
	if c.Instances == 0 {
		return otherwise
	}
	return c.Instances
}
