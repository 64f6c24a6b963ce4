package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/demo"
	"github.com/meshhealth/meshhealth/internal/fields"
)

// demoFlags are the flags of the demo command.
type demoFlags struct {
	lasting      time.Duration
	instances    int
	storm        bool
	listen, http string
	colour       output
}

func demoCommand(a *app) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a mesh of real services that really fail",
		Long: fmt.Sprintf(`Run a coordinator and a mesh of real gRPC services with real checks, on loopback
and in a temporary folder. A story repeats until the end. The database fails, and
so do the services that need it. The network of a zone is cut, and a guard holds
its instances. A release is slow. One process is frozen, one is killed, one is
drained. All of them recover. The first line is the address of the page.

With --storm, the instances beyond the %d of the story are one crowd in one process.
A fifth of the crowd flips each second, but at most %d instances. Flap damping is off
then, so that each flip is visible.`, demo.MinInstances, demo.MaxFlips),
		Example: `  meshhealth demo
  meshhealth demo --for 2m
  meshhealth demo --instances 5000 --storm
  meshhealth demo --listen 127.0.0.1:0 --http 127.0.0.1:0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(a, cmd, &f) },
	}
	fl := cmd.Flags()
	fl.DurationVar(&f.lasting, "for", 0, "end after this time, such as 20s; 0 means until interrupted")
	fl.IntVar(&f.instances, "instances", 0, fmt.Sprintf("how many instances, %d to %d (default %d); with --storm up to %d (default %d)",
		demo.MinInstances, demo.MaxInstances, demo.MinInstances, demo.MaxStormInstances, demo.DefaultStormInstances))
	fl.BoolVar(&f.storm, "storm", false, "let all instances beyond the story flip all the time")
	fl.StringVar(&f.listen, "listen", coordinator.DefaultListen, "the coordinator's gRPC `HOST:PORT`, on loopback")
	fl.StringVar(&f.http, "http", coordinator.DefaultHTTP, "its HTTP `HOST:PORT`, or off")
	fl.StringVar(&f.colour.colour, "color", "auto", "`WHEN`: auto, always or never; NO_COLOR is respected")
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
	w := newWatchPrinter(a, &watchFlags{target: target{address: f.listen}, output: f.colour}, nil)
	w.started = true
	return a.allowSignal(cmd.Context(), demo.Run(cmd.Context(), demo.Config{
		For: f.lasting, Storm: f.storm, Instances: f.instances,
		Start: f.start, Child: demoProcess, Show: w.print, Hide: w.learn,
		Out: a.stdout, Emphasis: func(line string) string { return p.paint(strong, line) },
	}))
}

func (f *demoFlags) check(cmd *cobra.Command) error {
	listeners := coordinatorFlags{listen: f.listen, http: f.http}
	var errs fields.Errors
	if f.lasting < 0 {
		errs.Addf("--for", "is %v; allowed: 0 or more, such as 20s", f.lasting)
	}
	if cmd.Flags().Changed("instances") {
		errs.Add("--instances", demo.CheckInstances(f.instances, f.storm))
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
	text, err := json.Marshal(i)
	if err != nil {
		panic(err) // an Instance has only texts
	}
	cmd := exec.CommandContext(ctx, self, demoInstance, string(text)) // #nosec G204 G702 -- starts this program again
	cmd.Stderr = os.Stderr
	return cmd
}

func demoInstanceCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    demoInstance + " JSON",
		Short:  "Run one instance of a demo until stdin ends",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var i demo.Instance
			if err := json.Unmarshal([]byte(args[0]), &i); err != nil {
				return usage(cmd, "JSON: %w; allowed: an instance, as demo passes it", err)
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go cancelAtEOF(os.Stdin, cancel)
			return demo.RunInstance(ctx, i)
		},
	}
}

// learn stores entries as the latest ones of their names, without printing them.
func (w *watchPrinter) learn(entries []*client.Entry) {
	for _, e := range entries {
		w.widenNames(e.Proto())
		w.update(e.Proto())
	}
}

// cancelAtEOF calls cancel when stdin ends. The parent of a child process holds the other end of
// stdin, so stdin of the child ends with the parent.
func cancelAtEOF(stdin io.Reader, cancel context.CancelFunc) {
	_, _ = io.Copy(io.Discard, stdin)
	cancel()
}
