package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// Config configures [Run].
type Config struct {
	// For is the duration of the demo. 0 means that the demo runs until ctx ends.
	For time.Duration
	// Services is the number of services, from MinServices to MaxServices. 0 means 6.
	Services int
	// Instances is the number of instances of each service, from 1 to MaxInstances. 0
	// means 3.
	Instances int
	// Start creates a coordinator. The coordinator uses policy and keeps its data in the
	// folder dataDir. Required.
	Start func(ctx context.Context, dataDir string, policy health.MeshPolicy) (Coordinator, error)
	// Child returns a command that starts a process, which calls RunInstance with i.
	// Required.
	Child func(ctx context.Context, i Instance) *exec.Cmd
	// Show prints an update that a watcher of the coordinator has received. Required.
	Show func(u *client.Update) error
	// Out receives the lines that the demo itself prints, such as the steps. Required.
	Out io.Writer
	// Emphasis returns line with an emphasis, such as a colour, for the terminal. nil means
	// that lines are printed without emphasis.
	Emphasis func(line string) string
}

// Coordinator has the methods of coordinator.Coordinator that the demo uses.
type Coordinator interface {
	Run(ctx context.Context) error
	Addr() net.Addr
	HTTPAddr() net.Addr
}

// The limits and defaults of [Config].
const (
	DefaultServices  = 6
	DefaultInstances = 3
	MinServices      = 4
	MaxServices      = 50
	MaxInstances     = 20
)

func (c *Config) setDefaults() {
	if c.Services == 0 {
		c.Services = DefaultServices
	}
	if c.Instances == 0 {
		c.Instances = DefaultInstances
	}
}

func (c *Config) validate() error {
	var errs []error
	if c.Services < MinServices || c.Services > MaxServices {
		errs = append(errs, fmt.Errorf("services: %d is out of range; allowed: %d to %d", c.Services, MinServices, MaxServices))
	}
	if c.Instances < 1 || c.Instances > MaxInstances {
		errs = append(errs, fmt.Errorf("instances: %d is out of range; allowed: 1 to %d", c.Instances, MaxInstances))
	}
	if c.For < 0 {
		errs = append(errs, fmt.Errorf("for: %v is out of range; allowed: 0 or more", c.For))
	}
	return errors.Join(errs...)
}

// demo is the state of one call of Run.
type demo struct {
	cfg         Config
	coordinator Coordinator
	began       time.Time
	out         sync.Mutex // held while a line or an update is printed

	backends  []*backend // one backend for each service, in the order of the services
	instances []*instance
	viewer    *viewer
}

// say prints a line of the demo itself, such as a step.
func (d *demo) say(format string, args ...any) {
	d.out.Lock()
	defer d.out.Unlock()
	line := fmt.Sprintf(format, args...)
	if d.cfg.Emphasis != nil {
		line = d.cfg.Emphasis(line)
	}
	_, _ = fmt.Fprintln(d.cfg.Out, line)
}

// print prints an update of the watcher. No other goroutine prints at the same time.
func (d *demo) print(u *client.Update) error {
	d.out.Lock()
	defer d.out.Unlock()
	return d.cfg.Show(u)
}
