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
	// For is how long the demo runs. 0 means until ctx ends.
	For time.Duration
	// Services is the number of services, from MinServices to MaxServices; 0 means 6.
	// Instances is the number of instances of each service; 0 means 3.
	Services, Instances int
	// Start opens a coordinator that keeps its data in dataDir. Required.
	Start func(ctx context.Context, dataDir string, policy health.MeshPolicy) (Coordinator, error)
	// Child returns the command of a process that calls RunInstance. Required.
	Child func(ctx context.Context, i Instance) *exec.Cmd
	// Show prints an update of the watcher. Required.
	Show func(u *client.Update) error
	// Out receives the lines that the demo itself prints. Required. Emphasis returns such
	// a line with a mark. nil means that lines have no mark.
	Out      io.Writer
	Emphasis func(line string) string
}

// Coordinator is the part of a coordinator that a demo uses.
type Coordinator interface {
	Run(ctx context.Context) error
	Addr() net.Addr
	HTTPAddr() net.Addr
}

// The size of the mesh.
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
	out         sync.Mutex // held while a line is printed

	backends  []*backend // by service
	instances []*instance
	viewer    *viewer
}

// say prints a line of the demo itself.
func (d *demo) say(format string, args ...any) {
	d.out.Lock()
	defer d.out.Unlock()
	line := fmt.Sprintf(format, args...)
	if d.cfg.Emphasis != nil {
		line = d.cfg.Emphasis(line)
	}
	_, _ = fmt.Fprintln(d.cfg.Out, line)
}

// print shows an update. No other line is printed at the same time.
func (d *demo) print(u *client.Update) error {
	d.out.Lock()
	defer d.out.Unlock()
	return d.cfg.Show(u)
}
