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
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/demo"
)

// demoFlags are those of the demo command.
type demoFlags struct {
	lasting             time.Duration
	services, instances int
	listen, http        string
	colour              output
}

func (a *app) demoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a mesh of real services that really fail",
		Long: `Run a coordinator and a mesh of real gRPC services with real checks, on loopback
and a temporary folder. A dependency gets slow, then refuses; a process is frozen,
another killed, another drained; all come back. Each change is printed as a
watcher hears of it.`,
		Example: `  meshhealth demo
  meshhealth demo --for 20s
  meshhealth demo --services 20 --instances 5 --listen 127.0.0.1:0 --http 127.0.0.1:0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDemo(cmd, &f) },
	}
	fl := cmd.Flags()
	fl.DurationVar(&f.lasting, "for", 0, "end after so long, such as 20s; 0 means until interrupted")
	fl.IntVar(&f.services, "services", demo.DefaultServices, fmt.Sprintf("how many services, %d to %d", demo.MinServices, demo.MaxServices))
	fl.IntVar(&f.instances, "instances", demo.DefaultInstances, fmt.Sprintf("how many instances of each, 1 to %d", demo.MaxInstances))
	fl.StringVar(&f.listen, "listen", coordinator.DefaultListen, "the coordinator's gRPC `HOST:PORT`, on loopback")
	fl.StringVar(&f.http, "http", coordinator.DefaultHTTP, "its HTTP `HOST:PORT`, or off")
	fl.StringVar(&f.colour.colour, "color", "auto", "`WHEN`: auto, always or never; NO_COLOR is respected")
	f.colour.format = outputFormats[0]
	return cmd
}

func (a *app) runDemo(cmd *cobra.Command, f *demoFlags) error {
	if err := errors.Join(f.check(cmd), f.colour.check(cmd)); err != nil {
		return err
	}
	p := a.pen(f.colour.colour)
	// As a watch command shows it, from the first moment.
	w := newWatching(a, &watchFlags{output: f.colour}, nil)
	w.begun = true
	return demo.Run(cmd.Context(), demo.Config{
		For: f.lasting, Services: f.services, Instances: f.instances,
		Start: f.start, Child: child, Show: w.take,
		Out: a.stdout, Emphasis: func(line string) string { return p.paint(strong, line) },
	})
}

func (f *demoFlags) check(cmd *cobra.Command) error {
	s := settings{listen: f.listen, http: f.http}
	flags := coordinatorFlags{listen: f.listen, http: f.http}
	errs := []error{flags.wrong(cmd, &s)}
	if errs[0] == nil {
		errs = append(errs, s.validate())
	}
	if f.lasting < 0 {
		errs = append(errs, usage(cmd, "--for: %v is no time; allowed: 0 or more, such as 20s", f.lasting))
	}
	if n := f.services; n < demo.MinServices || n > demo.MaxServices {
		errs = append(errs, usage(cmd, "--services: %d is out of range; allowed: %d to %d", n, demo.MinServices, demo.MaxServices))
	}
	if n := f.instances; n < 1 || n > demo.MaxInstances {
		errs = append(errs, usage(cmd, "--instances: %d is out of range; allowed: 1 to %d", n, demo.MaxInstances))
	}
	return errors.Join(errs...)
}

func (f *demoFlags) start(ctx context.Context, dataDir string, policy health.MeshPolicy) (demo.Coordinator, error) {
	c, err := coordinator.New(ctx, coordinator.Config{
		Listen: f.listen, HTTP: f.http, DataDir: dataDir, Policy: policy, Build: buildVersion(),
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hinted("Does a coordinator, or another demo, run? Try --listen 127.0.0.1:0 --http 127.0.0.1:0.", "%w", err)
	}
	if err != nil {
		return nil, err // a nil *Coordinator in an interface would not be nil
	}
	return c, nil
}

// demoInstance is the hidden command of the demo's child processes.
const demoInstance = "demo-instance"

// child is this binary again, as one instance.
func child(ctx context.Context, i demo.Instance) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.CommandContext(ctx, self, demoInstance, i.Service, i.Name, i.Backend, i.Coordinator, i.Zone)
	cmd.Stderr = os.Stderr
	return cmd
}

func (a *app) demoInstanceCommand() *cobra.Command {
	return &cobra.Command{
		Use:    demoInstance + " SERVICE INSTANCE BACKEND COORDINATOR ZONE",
		Short:  "Run one instance of a demo until stdin ends",
		Hidden: true,
		Args:   cobra.ExactArgs(5),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			// The demo holds the other end: without it there is nobody to serve.
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				cancel()
			}()
			return demo.RunInstance(ctx, demo.Instance{
				Service: args[0], Name: args[1], Backend: args[2], Coordinator: args[3], Zone: args[4],
			})
		},
	}
}
