package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Config configures [Run].
type Config struct {
	// Only has the names of the scenarios to run. Empty means all scenarios.
	Only []string
	// Instances is the number of targets in the scenarios whose size can be set. 0 means
	// the default of each scenario.
	Instances int
	// Rounds is the number of times that the scenario "kill" kills the coordinator. 0
	// means DefaultRounds.
	Rounds int
	// Seed decides when the scenario "kill" kills the coordinator, and in which order targets
	// change their states. 0 means a random seed.
	Seed int
	// Wait is the time between the moment when all targets are SERVING and the first fault.
	// In this time a person can open the page of the coordinator.
	Wait time.Duration
	// Keep says that Run does not remove the folder with logs and data at the end. Run
	// passes the name of the folder to Progress.
	Keep bool
	// Command returns a process that runs the program meshhealth with these arguments.
	// The process must end when its stdin ends. Required.
	Command func(ctx context.Context, args ...string) *exec.Cmd
	// Host returns a process that calls RunHost. The process must end when its stdin
	// ends. Required.
	Host func(ctx context.Context) *exec.Cmd
	// Progress is called with one line of text for each phase of a scenario, after the name of
	// the scenario and a colon. The line "page URL, grpc HOST:PORT" has the addresses of the
	// coordinator of the scenario. The addresses stay the same when the coordinator starts
	// again. Required.
	Progress func(line string)
	// Done is called with the verdict of each scenario when the scenario has ended. nil
	// means that nothing is called.
	Done func(Verdict)
}

// The limits and defaults of [Config].
const (
	DefaultRounds = 5
	MaxRounds     = 1000
	MinInstances  = 20
	MaxInstances  = 10_000
	MaxWait       = time.Minute
)

// ErrUnsupported means that this system cannot suspend and resume processes.
var ErrUnsupported = errors.New("chaos suspends and resumes processes, which only Unix supports")

// Validate returns one error for each invalid field, joined. Each error names the flag of
// `meshhealth chaos` that sets the field.
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
	if c.Wait < 0 || c.Wait > MaxWait {
		errs = append(errs, fmt.Errorf("--wait: %v is out of range; allowed: 0 to %v", c.Wait, MaxWait))
	}
	return errors.Join(errs...)
}

// instances returns the number of targets for a scenario whose default is byDefault.
func (c *Config) instances(byDefault int) int {
	if c.Instances == 0 {
		return byDefault
	}
	return c.Instances
}
