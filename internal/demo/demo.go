package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// Config says what to show.
type Config struct {
	// For is how long; 0 means until ctx ends.
	For time.Duration
	// Services and Instances say how large the mesh is; 0 means 6 and 3. The
	// story needs MinServices.
	Services, Instances int
	// Start opens a coordinator that keeps its data in dataDir. Required.
	Start func(ctx context.Context, dataDir string, policy health.MeshPolicy) (Coordinator, error)
	// Child returns the command of a process that calls RunInstance. Required.
	Child func(ctx context.Context, i Instance) *exec.Cmd
	// Show prints what a watcher was told. Required.
	Show func(u *client.Update) error
	// Out takes what the demo itself has to say; Emphasis marks its lines.
	// Required.
	Out      io.Writer
	Emphasis func(line string) string
}

// Coordinator is as much of one as a demo needs.
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

// policy is quick to judge, for nobody watches a demo for ten minutes.
func policy() health.MeshPolicy {
	return health.MeshPolicy{
		UnreachableAfter: 2 * time.Second, StartupGrace: 5 * time.Second,
		DeregisterAfter: time.Minute, Amnesty: time.Second,
	}
}

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
		errs = append(errs, fmt.Errorf("for: %v is negative", c.For))
	}
	return errors.Join(errs...)
}

// Run shows the demo until its time is up or ctx ends, which is no error.
func Run(ctx context.Context, cfg Config) error {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "meshhealth-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system clears its temporary files itself
	c, err := cfg.Start(ctx, dir, policy())
	if err != nil {
		return err
	}
	return (&demo{cfg: cfg, coordinator: c, began: time.Now()}).run(ctx)
}

// demo is one run.
type demo struct {
	cfg         Config
	coordinator Coordinator
	began       time.Time
	out         sync.Mutex

	backends  []*backend // by service
	instances []*instance
	viewer    *viewer
}

// run starts everything and joins it. The coordinator outlives the instances,
// so that they can take their leave.
func (d *demo) run(ctx context.Context) error {
	coordinating, stop := context.WithCancel(context.WithoutCancel(ctx))
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ended := make(chan error, 1)
	go func() {
		err := d.coordinator.Run(coordinating)
		if err == nil {
			err = errOver
		}
		end(err)
		ended <- err
	}()
	err := d.show(ctx)
	stop()
	if failed := <-ended; !errors.Is(failed, errOver) {
		err = errors.Join(err, failed)
	}
	if err == nil {
		d.viewer.summarize(d.say, time.Since(d.began), len(d.instances), d.cfg.Services)
	}
	return err
}

// errOver: the demo ends as it should.
var errOver = errors.New("the demo is over")

// show builds the mesh, tells the story, and takes the mesh down.
func (d *demo) show(ctx context.Context) error {
	if err := d.build(); err != nil {
		return err
	}
	defer d.closeBackends()
	d.introduce()
	watcher, err := client.New(client.Config{Coordinator: d.coordinator.Addr().String(), Insecure: true})
	if err != nil {
		return err
	}
	defer watcher.Close() //nolint:errcheck // nothing is written on it
	if d.cfg.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.cfg.For)
		defer cancel()
	}
	d.viewer = newViewer(d.print, d.flipOf)
	return d.play(ctx, watcher)
}

// play runs the parts until ctx ends or one of them fails. The instances leave
// when nobody looks any more: their farewell is no news.
func (d *demo) play(ctx context.Context, watcher *client.Client) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	living, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	var on, behind sync.WaitGroup
	start := func(wg *sync.WaitGroup, ctx context.Context, part func(context.Context) error) {
		wg.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				fail(err)
			}
		})
	}
	for _, i := range d.instances {
		start(&behind, living, i.keep)
	}
	start(&on, ctx, func(ctx context.Context) error { return d.viewer.watch(ctx, watcher) })
	start(&on, ctx, d.tell)
	on.Wait()
	leave()
	behind.Wait()
	return wanted(context.Cause(ctx))
}

// wanted drops the reasons a demo ends for as it should.
func wanted(err error) error {
	for _, end := range []error{context.Canceled, context.DeadlineExceeded, errOver} {
		if errors.Is(err, end) {
			return nil
		}
	}
	return err
}

// say prints a line of the demo's own.
func (d *demo) say(format string, args ...any) {
	d.out.Lock()
	defer d.out.Unlock()
	line := fmt.Sprintf(format, args...)
	if d.cfg.Emphasis != nil {
		line = d.cfg.Emphasis(line)
	}
	_, _ = fmt.Fprintln(d.cfg.Out, line)
}

// print shows an update between two lines of ours.
func (d *demo) print(u *client.Update) error {
	d.out.Lock()
	defer d.out.Unlock()
	return d.cfg.Show(u)
}
