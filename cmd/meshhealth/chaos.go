package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/internal/chaos"
	"github.com/meshhealth/meshhealth/internal/fields"
)

// chaosFlags are the flags of the chaos command.
type chaosFlags struct {
	only              []string
	instances, rounds int
	seed              int
	wait              time.Duration
	keep              bool
	output
}

func chaosCommand(a *app) *cobra.Command {
	var f chaosFlags
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Cause faults on this machine, and count wrong statuses",
		Long: `Run a coordinator and hundreds to thousands of targets in separate processes, on
loopback and in a temporary folder. Then cause faults that registries often do not
survive: stop, kill and starve the coordinator, slow its disk, change all statuses
at once, cut off half of the mesh, give the addresses of killed processes to other
servers, and follow health services that are half-implemented. The true statuses of
the targets are compared with what was published:

  false   published, and not true within the bound before it
  missed  true for longer than the bound, and never published
  late    published after the bound

Each scenario has a coordinator of its own, and prints the addresses of its page and
of gRPC: "pause: page http://127.0.0.1:8080/ui, grpc 127.0.0.1:7070". With
--wait 10s there is time to open the page before the first fault.

Stopping processes needs Unix. All scenarios take some minutes and most of two cores.
The exit code is 0 if all scenarios pass, 2 if one does not, 3 if one could not be
run.`,
		Example: `  meshhealth chaos
  meshhealth chaos --only pause,blackhole --instances 200
  meshhealth chaos --only kill --rounds 100 --keep
  meshhealth chaos --only blackhole --wait 10s`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runChaos(a, cmd, &f) },
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.only, "only", nil, "run these `SCENARIOS` only: "+strings.Join(chaos.Names(), ", "))
	fl.IntVar(&f.instances, "instances", 0,
		fmt.Sprintf("how many targets, %d to %d; 0 means the default of each scenario (deploy, flap, scale, reuse and stubs always use it)", chaos.MinInstances, chaos.MaxInstances))
	fl.IntVar(&f.rounds, "rounds", chaos.DefaultRounds, fmt.Sprintf("how often kill kills, 1 to %d", chaos.MaxRounds))
	fl.IntVar(&f.seed, "seed", 0, "decides when kill kills, and in which order targets change; 0 means a random seed")
	fl.DurationVar(&f.wait, "wait", 0, fmt.Sprintf("wait this long between the start of the targets and the first fault, 0 to %v", chaos.MaxWait))
	fl.BoolVar(&f.keep, "keep", false, "keep logs and data, and print where they are")
	f.output.addTo(cmd)
	return cmd
}

func runChaos(a *app, cmd *cobra.Command, f *chaosFlags) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	cfg := chaos.Config{
		Only: f.only, Instances: f.instances, Rounds: f.rounds, Seed: f.seed, Wait: f.wait, Keep: f.keep,
		Command: chaosProcess, Host: func(ctx context.Context) *exec.Cmd { return chaosProcess(ctx) },
		Progress: func(line string) { a.say("%s", line) },
	}
	var printed error
	if f.json() {
		cfg.Done = func(v chaos.Verdict) { printed = errors.Join(printed, printVerdict(a, &v)) }
	}
	all, err := chaos.Run(cmd.Context(), cfg)
	if !f.json() && len(all) > 0 {
		printed = printVerdicts(a, all, a.pen(f.colour))
	}
	if err = errors.Join(err, printed); err != nil {
		return err
	}
	for i := range all {
		if !all[i].OK() {
			return exitCode(exitBad)
		}
	}
	return nil
}

// exitBad is the exit code of the command chaos if a scenario has failed.
const exitBad = 2

func (f *chaosFlags) check(cmd *cobra.Command) error {
	errs := []error{f.output.check(cmd)}
	cfg := chaos.Config{Only: f.only, Instances: f.instances, Rounds: f.rounds, Wait: f.wait}
	if err := cfg.Validate(); err != nil {
		for _, one := range fields.Flatten(err) {
			errs = append(errs, usage(cmd, "%w", one))
		}
	}
	return errors.Join(errs...)
}

// chaosChild is the name of a hidden command, which the child processes of the chaos command run.
const chaosChild = "chaos-child"

// chaosProcess returns a child process that runs this program again. The child ends when its stdin
// ends. If args is empty, the child runs instances that the chaos command controls. Otherwise the
// child runs the command line args.
func chaosProcess(_ context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	// The parent ends the child by closing its stdin. A context would kill only the child, and
	// not the processes that the child has started.
	return exec.Command(self, append([]string{chaosChild, "--"}, args...)...) // #nosec G204 G702 -- starts this program again
}

func chaosChildCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    chaosChild + " [COMMAND...]",
		Short:  "Run a command line, or host targets, until stdin ends",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return chaos.RunHost(cmd.Context(), os.Stdin, a.stdout)
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go cancelAtEOF(os.Stdin, cancel)
			if code := a.run(ctx, args); code != exitOK {
				return exitCode(code)
			}
			return nil
		},
	}
}
