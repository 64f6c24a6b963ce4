package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/internal/envoyconfig"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// exitAdvice is the exit code of `envoy check` if the file is valid, and something could be better.
const exitAdvice = 1

func envoyCheckCommand(a *app) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check the bootstrap of an Envoy",
		Long: `Check the bootstrap of an Envoy, in YAML or JSON: whether Envoy reads it, whether all
values are valid, and whether Envoy then learns of health, and soon. FILE - is stdin.
If --coordinator or ` + coordinatorEnv + ` is given, the services must be registered there.

The exit code is 0 if nothing is to say, 1 if something could be better, and 3 if the
file is not valid or cannot be read.`,
		Example: `  meshhealth envoy check envoy.yaml
  meshhealth envoy bootstrap --service payments | meshhealth envoy check -`,
		Args: exactlyOne("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return envoyCheck(a, cmd, &t, args[0]) },
	}
	t.addTo(cmd)
	return cmd
}

func envoyCheck(a *app, cmd *cobra.Command, t *target, file string) error {
	ctx := cmd.Context()
	asks := t.address != "" || a.getenv(coordinatorEnv) != ""
	if err := t.complete(cmd, a.getenv); err != nil {
		return err
	}
	text, problems, err := a.readFile(ctx, "FILE", file, envoyconfig.MaxText)
	if err != nil {
		return err
	}
	d, faults := envoyconfig.Parse(text)
	if addFaults(problems, faults); problems.Err() != nil {
		return problems
	}
	addFaults(problems, d.Advice())
	if asks {
		err := t.ask(ctx, func(ctx context.Context, conn *connection) error {
			return conn.addUnknownServices(ctx, problems, d)
		})
		if err != nil {
			return err
		}
	}
	return printAdvice(a, problems, d)
}

func addFaults(p *input.Problems, faults []envoyconfig.Fault) {
	for _, f := range faults {
		p.Add(f.Line, wire.Clean(f.Path), "%s", f.Text)
	}
}

// addUnknownServices adds a problem for each service of which nothing is registered.
func (conn *connection) addUnknownServices(ctx context.Context, p *input.Problems, d *envoyconfig.Document) error {
	for _, s := range d.EDSServices() {
		if wire.CheckService(s.Name) == nil {
			h, err := conn.check(ctx, s.Name)
			if err != nil {
				return err
			}
			if h != nil {
				continue
			}
		}
		addFaults(p, []envoyconfig.Fault{s.Unknown})
	}
	return nil
}

// printAdvice prints one line for each problem to stdout. What was not checked is a note on stderr.
func printAdvice(a *app, p *input.Problems, d *envoyconfig.Document) error {
	notes := &input.Problems{File: p.File}
	if addFaults(notes, d.Unknown); notes.Err() != nil {
		a.say("%v", notes)
	}
	if p.Err() == nil {
		_, err := fmt.Fprintf(a.stdout, "%s: ok\n", p.File)
		return err
	}
	if _, err := fmt.Fprintln(a.stdout, cleanLines(p.Error())); err != nil {
		return err
	}
	return exitCode(exitAdvice)
}
