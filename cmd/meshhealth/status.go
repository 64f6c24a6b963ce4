package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func (a *app) statusCommand() *cobra.Command {
	var (
		t   target
		out output
		all bool
	)
	cmd := &cobra.Command{
		Use:   "status [SERVICE[/INSTANCE]...]",
		Short: "Print what is well and what is not, and why",
		Long: `Print the status of the mesh, or of the services and instances named.

Without names it lists every service, the worst first, and of the instances and
zones only those there is something to say about; --all lists all. */eu-1 is a
zone, payments/@eu-1 what a service has there. ~ marks a status that is kept from
before and cannot be confirmed at the moment.

The exit code is the status of what was asked for, or of the mesh:
  0 SERVING   1 DEGRADED, STARTING, DRAINING, MAINTENANCE   2 NOT_SERVING
  3 UNKNOWN, not registered, nobody answers, or a wrong command line
Of several it is the worst of 0 < 1 < 3 < 2.`,
		Example: `  meshhealth status
  meshhealth status payments ledger/a
  meshhealth status payments && deploy
  meshhealth status -o json | jq -r 'select(.status != "STATUS_SERVING").service'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := errors.Join(out.check(cmd), checkNames(names)); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, q *asking) error {
				return a.status(ctx, q, &out, names, all)
			})
		},
	}
	t.flags(cmd)
	out.flags(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list instances that are well too")
	return cmd
}

func (a *app) status(ctx context.Context, q *asking, out *output, names []string, all bool) error {
	found, err := q.find(ctx, names)
	if err != nil {
		return err
	}
	if err := a.printStatus(out, found, all || len(names) > 0); err != nil {
		return err
	}
	code := found.exitCode()
	for _, name := range found.missing {
		a.complain(q.unknown(ctx, name))
		code = health.WorstExitCode(code, exitFail)
	}
	if code != exitOK {
		return exitCode(code)
	}
	return nil
}

// findings are what a status command found.
type findings struct {
	mesh    *pb.Health   // nil if names were asked for, or nobody knows it
	self    *pb.Health   // who answers, beside mesh
	asked   []*pb.Health // what the exit code is about, beside mesh
	entries []*pb.Health // what to list
	missing []string     // names nobody knows
	detail  bool         // instances were asked for by name
}

// find asks for the names, or for the whole mesh.
func (q *asking) find(ctx context.Context, names []string) (*findings, error) {
	if len(names) == 0 {
		return q.findMesh(ctx)
	}
	f := &findings{}
	for _, name := range names {
		h, err := q.check(ctx, name)
		switch {
		case err != nil:
			return nil, err
		case h == nil:
			f.missing = append(f.missing, name)
			continue
		}
		f.asked, f.entries = append(f.asked, h), append(f.entries, h)
		f.detail = f.detail || h.GetInstance() != ""
	}
	return f, q.addInstances(ctx, f)
}

func (q *asking) findMesh(ctx context.Context) (*findings, error) {
	all, err := q.list(ctx, nil)
	if err != nil {
		return nil, err
	}
	f := &findings{}
	for _, h := range all {
		switch {
		case h.GetService() == health.MeshName && h.GetInstance() == "":
			f.mesh = h
		case h.GetService() == "":
			f.self = h
		default:
			f.entries = append(f.entries, h)
		}
	}
	if f.mesh == nil { // an embedded server
		f.asked = f.entries
	}
	return f, nil
}

// addInstances lists the instances of the services that were asked for.
func (q *asking) addInstances(ctx context.Context, f *findings) error {
	s := &pb.Selector{}
	have := map[string]bool{}
	for _, h := range f.asked {
		have[nameOf(h)] = true
		if h.GetInstance() == "" && h.GetService() != health.MeshName && h.GetService() != "" {
			s.Services = append(s.Services, h.GetService())
		}
	}
	if len(s.Services) == 0 {
		return nil
	}
	all, err := q.list(ctx, s)
	for _, h := range all {
		if !have[nameOf(h)] {
			f.entries = append(f.entries, h)
		}
	}
	return err
}

func (f *findings) exitCode() int {
	if f.mesh != nil {
		return exitCodeOf(f.mesh)
	}
	code := exitOK
	if len(f.asked)+len(f.missing) == 0 {
		code = exitFail // nothing is known about nothing
	}
	for _, h := range f.asked {
		code = health.WorstExitCode(code, exitCodeOf(h))
	}
	return code
}

func exitCodeOf(h *pb.Health) int {
	s, _ := health.StatusFromWire(int32(h.GetStatus())) // else Unknown
	return s.ExitCode()
}

func (a *app) printStatus(out *output, f *findings, all bool) error {
	if out.json() {
		return a.printStatusJSON(f)
	}
	p := a.pen(out.colour)
	if f.mesh != nil {
		fmt.Fprintln(a.stdout, headline(p, f))
		a.printSelf(p, f.self)
	}
	groups := group(f.entries)
	t := table{head: []string{"STATUS", "NAME", "UP", "FOR", "CAUSE", "WHY"}}
	hidden := 0
	for _, g := range groups {
		hidden += g.rows(&t, p, all)
	}
	if len(t.rows) > 0 {
		if f.mesh != nil {
			fmt.Fprintln(a.stdout)
		}
		if err := t.render(a.stdout, p, a.columns); err != nil {
			return err
		}
	}
	a.printFooter(f, hidden)
	return a.printChecks(p, f)
}

func (a *app) printStatusJSON(f *findings) error {
	list := f.entries
	if f.mesh != nil {
		list = append([]*pb.Health{f.mesh}, list...)
	}
	for _, h := range list {
		if err := printJSON(a.stdout, h); err != nil {
			return err
		}
	}
	return nil
}

// printSelf says what is wrong with who answers, if anything is: it is about all
// that follows.
func (a *app) printSelf(p pen, h *pb.Health) {
	if h == nil || well(h) {
		return
	}
	status := p.statusOf(h)
	fmt.Fprintf(a.stdout, "The coordinator is %s: %s\n", p.paint(status.style, status.text), wire.CleanTo(whyOf(h), 4*wire.MaxText))
}

// headline is the mesh in one line.
func headline(p pen, f *findings) string {
	services, instances, unconfirmed := 0, 0, 0
	for _, h := range f.entries {
		if h.GetInstance() == "" {
			services++
			continue
		}
		if isPart(h) {
			continue
		}
		instances++
		if h.GetUnconfirmed() {
			unconfirmed++
		}
	}
	status := p.statusOf(f.mesh)
	text := p.paint(status.style, status.text)
	if lasted := forOf(f.mesh); lasted != "" && services > 0 {
		text += " for " + lasted
	}
	text += fmt.Sprintf("%s%s, %s", gap, plural(services, "service"), plural(instances, "instance"))
	if unconfirmed > 0 {
		text += fmt.Sprintf(", %d not confirmed", unconfirmed)
	}
	return text
}

// printFooter tells people, not scripts, what is not shown.
func (a *app) printFooter(f *findings, hidden int) {
	switch {
	case len(f.entries)+len(f.missing) == 0:
		a.say("Nothing is registered yet. Services do it with the client library; by hand:\n" +
			"  meshhealth register SERVICE/INSTANCE --address HOST:PORT")
	case hidden > 0 && a.columns > 0:
		a.say("%s well and not listed; --all lists them.", plural(hidden, "instance"))
	}
}
