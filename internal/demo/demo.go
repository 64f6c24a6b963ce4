package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/fields"
)

// Config configures [Run].
type Config struct {
	// For is the duration of the demo. 0 means that the demo runs until ctx ends.
	For time.Duration
	// Storm means that all instances beyond the story change their statuses all the time.
	Storm bool
	// Instances is the number of all instances: MinInstances to MaxInstances, or up to
	// MaxStormInstances with Storm. 0 means MinInstances, or DefaultStormInstances with Storm.
	Instances int
	// Start creates a coordinator. The coordinator uses policy and keeps its data in the
	// folder dataDir. Required.
	Start func(ctx context.Context, dataDir string, policy health.MeshPolicy) (Coordinator, error)
	// Child returns a command that starts a process, which calls RunInstance with i.
	// Required.
	Child func(ctx context.Context, i Instance) *exec.Cmd
	// Show prints an update that a watcher of the coordinator has received. Required.
	Show func(u *client.Update) error
	// Hide receives entries that have changed, and that the demo has counted in a line of its
	// own. They are not printed. Required.
	Hide func(entries []*client.Entry)
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

func (c *Config) setDefaults() {
	switch {
	case c.Instances != 0:
	case c.Storm:
		c.Instances = DefaultStormInstances
	default:
		c.Instances = MinInstances
	}
}

func (c *Config) validate() error {
	var errs fields.Errors
	errs.Add("Instances", CheckInstances(c.Instances, c.Storm))
	if c.For < 0 {
		errs.Addf("For", "is %v; allowed: 0 or more", c.For)
	}
	return errs.Join()
}

// demo is the state of one call of Run.
type demo struct {
	cfg         Config
	coordinator Coordinator
	began       time.Time
	out         sync.Mutex // held while a line or an update is printed

	backends       map[string]*backend // by service, and flagServer
	network        *network            // between cutZone and the coordinator
	cutCoordinator string              // HOST:PORT at which cutZone reaches the coordinator
	instances      []*instance         // the instances of the story
	crowd          *crowd              // nil without a storm
	viewer         *viewer
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

// hide passes on entries that are not printed.
func (d *demo) hide(entries []*client.Entry) {
	d.out.Lock()
	defer d.out.Unlock()
	d.cfg.Hide(entries)
}
