package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/internal/chaos"
)

// chaosFlags are those of the chaos command.
type chaosFlags struct {
	only              []string
	instances, rounds int
	keep              bool
	output
}

func (a *app) chaosCommand() *cobra.Command {
	var f chaosFlags
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Try on this machine what breaks registries, and count the falsely dead",
		Long: `Run a coordinator and hundreds to thousands of targets, in processes of their own
on loopback and a temporary folder, and do to them what breaks registries: stop,
kill and starve the coordinator, slow its disk, let everything flip at once, or
half of the mesh vanish. What the targets were is compared with what was published:

  false   published, and not true within the bound before it
  missed  true for longer than the bound, and never published
  late    published after the bound

Stopping processes needs Unix. It takes some minutes and most of two cores.
The exit code is 0 if all scenarios pass, 2 if one does not, 3 if one could not
be run.`,
		Example: `  meshhealth chaos
  meshhealth chaos --only pause,blackhole --instances 200
  meshhealth chaos --only kill --rounds 100 --keep`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runChaos(cmd, &f) },
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.only, "only", nil, "run these `SCENARIOS` only: "+strings.Join(chaos.Names(), ", "))
	fl.IntVar(&f.instances, "instances", 0,
		fmt.Sprintf("how many targets, %d to %d; 0 means as many as each scenario likes (deploy, flap and scale always do)", chaos.MinInstances, chaos.MaxInstances))
	fl.IntVar(&f.rounds, "rounds", chaos.DefaultRounds, fmt.Sprintf("how often kill kills, 1 to %d", chaos.MaxRounds))
	fl.BoolVar(&f.keep, "keep", false, "keep logs and data, and say where")
	f.output.flags(cmd)
	return cmd
}

func (a *app) runChaos(cmd *cobra.Command, f *chaosFlags) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	cfg := chaos.Config{
		Only: f.only, Instances: f.instances, Rounds: f.rounds, Keep: f.keep,
		Command: leashed, Host: func(ctx context.Context) *exec.Cmd { return leashed(ctx) },
		Progress: func(line string) { a.say("%s", line) },
	}
	var printed error
	if f.json() {
		cfg.Done = func(v chaos.Verdict) { printed = errors.Join(printed, a.chaosJSON(&v)) }
	}
	all, err := chaos.Run(cmd.Context(), cfg)
	if !f.json() && len(all) > 0 {
		printed = a.chaosTable(all, a.pen(f.colour))
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

// exitBad: a scenario did not pass.
const exitBad = 2

func (f *chaosFlags) check(cmd *cobra.Command) error {
	errs := []error{f.output.check(cmd)}
	cfg := chaos.Config{Only: f.only, Instances: f.instances, Rounds: f.rounds}
	if err := cfg.Validate(); err != nil {
		for _, one := range flatten(err) {
			errs = append(errs, usage(cmd, "%w", one))
		}
	}
	return errors.Join(errs...)
}

// chaosChild is the hidden command of chaos's child processes.
const chaosChild = "chaos-child"

// leashed is this binary again: with a command line it runs that, without one it
// hosts targets; until its stdin ends.
func leashed(_ context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	// Whoever started it ends it: a context could only kill it alone, and not
	// what it has started.
	return exec.Command(self, append([]string{chaosChild, "--"}, args...)...)
}

func (a *app) chaosChildCommand() *cobra.Command {
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
			// Chaos holds the other end: without it nobody is interested.
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				cancel()
			}()
			if code := a.run(ctx, args); code != exitOK {
				return exitCode(code)
			}
			return nil
		},
	}
}
