package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/demo"
	"github.com/meshhealth/meshhealth/internal/fields"
)

// demoFlags are the flags of the demo command.
type demoFlags struct {
	lasting             time.Duration
	services, instances int
	listen, http        string
	colour              output
	zones               bool
}

func demoCommand(a *app) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a mesh of real services that really fail",
		Long: `Run a coordinator and a mesh of real gRPC services with real checks, on loopback
and in a temporary folder. A dependency becomes slow, then refuses connections. One
process is stopped, one is killed, one is drained. All of them recover. Each change
is printed as a watcher receives it.`,
		Example: `  meshhealth demo
  meshhealth demo --for 20s
  meshhealth demo --services 20 --instances 5 --listen 127.0.0.1:0 --http 127.0.0.1:0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(a, cmd, &f) },
	}
	fl := cmd.Flags()
	fl.DurationVar(&f.lasting, "for", 0, "end after this time, such as 20s; 0 means until interrupted")
	fl.IntVar(&f.services, "services", demo.DefaultServices, fmt.Sprintf("how many services, %d to %d", demo.MinServices, demo.MaxServices))
	fl.IntVar(&f.instances, "instances", demo.DefaultInstances, fmt.Sprintf("how many instances of each, 1 to %d", demo.MaxInstances))
	fl.StringVar(&f.listen, "listen", coordinator.DefaultListen, "the coordinator's gRPC `HOST:PORT`, on loopback")
	fl.StringVar(&f.http, "http", coordinator.DefaultHTTP, "its HTTP `HOST:PORT`, or off")
	fl.StringVar(&f.colour.colour, "color", "auto", "`WHEN`: auto, always or never; NO_COLOR is respected")
	fl.BoolVar(&f.zones, "zones", false, "print every zone, not only those that differ")
	f.colour.format = outputFormats[0]
	return cmd
}

func runDemo(a *app, cmd *cobra.Command, f *demoFlags) error {
	if err := errors.Join(f.check(cmd), f.colour.check(cmd)); err != nil {
		return err
	}
	p := a.pen(f.colour.colour)
	// The printer counts as started from the beginning, so that it prints the entries of the
	// first snapshot as changes.
	w := newWatchPrinter(a, &watchFlags{target: target{address: f.listen}, output: f.colour, zones: f.zones}, nil)
	w.started = true
	return a.allowSignal(cmd.Context(), demo.Run(cmd.Context(), demo.Config{
		For: f.lasting, Services: f.services, Instances: f.instances,
		Start: f.start, Child: demoProcess, Show: w.print,
		Out: a.stdout, Emphasis: func(line string) string { return p.paint(strong, line) },
	}))
}

func (f *demoFlags) check(cmd *cobra.Command) error {
	listeners := coordinatorFlags{listen: f.listen, http: f.http}
	var errs fields.Errors
	if f.lasting < 0 {
		errs.Addf("--for", "is %v; allowed: 0 or more, such as 20s", f.lasting)
	}
	if n := f.services; n < demo.MinServices || n > demo.MaxServices {
		errs.Addf("--services", "is %d; allowed: %d to %d", n, demo.MinServices, demo.MaxServices)
	}
	if n := f.instances; n < 1 || n > demo.MaxInstances {
		errs.Addf("--instances", "is %d; allowed: 1 to %d", n, demo.MaxInstances)
	}
	return errors.Join(listeners.change(cmd, &config.Settings{}), usageAll(cmd, errs.Join()))
}

func (f *demoFlags) start(ctx context.Context, dataDir string, policy health.MeshPolicy) (demo.Coordinator, error) {
	c, err := coordinator.New(ctx, coordinator.Config{
		Listen: f.listen, HTTP: f.http, DataDir: dataDir, Policy: policy, Build: buildVersion(),
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hinted("A coordinator, or another demo, may be running. Try --listen 127.0.0.1:0 --http 127.0.0.1:0.", "%w", err)
	}
	if err != nil {
		return nil, err // c must not be returned: an interface that holds a nil *Coordinator is not nil
	}
	return c, nil
}

// demoInstance is the name of a hidden command, which the child processes of the demo run.
const demoInstance = "demo-instance"

// demoProcess returns a child process that runs this program again as one instance of the demo.
func demoProcess(ctx context.Context, i demo.Instance) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.CommandContext(ctx, self, demoInstance, i.Service, i.Name, i.Backend, i.Coordinator, i.Zone)
	cmd.Stderr = os.Stderr
	return cmd
}

func demoInstanceCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    demoInstance + " SERVICE INSTANCE BACKEND COORDINATOR ZONE",
		Short:  "Run one instance of a demo until stdin ends",
		Hidden: true,
		Args:   cobra.ExactArgs(5),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go cancelAtEOF(os.Stdin, cancel)
			return demo.RunInstance(ctx, demo.Instance{
				Service: args[0], Name: args[1], Backend: args[2], Coordinator: args[3], Zone: args[4],
			})
		},
	}
}

// cancelAtEOF calls cancel when stdin ends. The parent of a child process holds the other end of
// stdin, so stdin of the child ends with the parent.
func cancelAtEOF(stdin io.Reader, cancel context.CancelFunc) {
	_, _ = io.Copy(io.Discard, stdin)
	cancel()
}
