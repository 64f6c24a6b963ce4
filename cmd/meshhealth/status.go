package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func statusCommand(a *app) *cobra.Command {
	var (
		t    target
		out  output
		all  bool
		wait string
		by   string
		only where
	)
	out.more = []string{formatShort, formatTSV, formatName, formatJSONL}
	cmd := &cobra.Command{
		Use:   "status [SERVICE[/INSTANCE]...]",
		Short: "Print statuses and their reasons",
		Long: `Print the status of the mesh, or of the services and instances named.

Without names it lists the worst first. If all is well, it prints one line. Of
more than 20 services it lists only those in trouble: first the ROOTS, each with
the number of services that are bad because of it, then the OTHERS. Of instances
and zones it lists only those that are not well; --all lists everything. */eu-1
is a zone, payments/@eu-1 is a service in one zone. ~ marks a status that was
kept from before and is not confirmed at the moment.

--where lists only the entries that match all conditions, with commas between:
  service=S  zone=Z  label.KEY=VALUE  version=V  status=A|B  cause=C  root=S
  unconfirmed  WORD (the name contains it)  !CONDITION (it does not match)
A value with a comma stands in double quotes.

A terminal that is too narrow omits UP, FOR, CAUSE and then WHY. A row is never
longer than the terminal. -o json and -o tsv omit and cut nothing.

The exit code is the status of what was asked for, or of the mesh:
  0 SERVING   1 DEGRADED, STARTING, DRAINING, MAINTENANCE   2 NOT_SERVING
  3 UNKNOWN, not registered, no answer, or a wrong command line
For several names, and with --where, it is the worst of 0 < 1 < 3 < 2.

With --wait it waits until each name, or the mesh, has one of these statuses,
confirmed, and exits with 0. It exits with 3 if this does not happen within
--timeout. It waits for names that are not registered yet, and for a coordinator
that does not answer yet.

With --group-by it counts instances by status for each value of a field, such as
label.team, and prints the values with the most bad instances first. It then exits
with 0 whatever the statuses are.`,
		Example: `  meshhealth status
  meshhealth status payments ledger/a
  meshhealth status payments --wait SERVING --timeout 2m && next-step
  meshhealth status --group-by label.team
  meshhealth status --where 'zone=eu-1,!status=SERVING'
  meshhealth status -o short
  meshhealth status -o json | jq -r 'select(.status != "STATUS_SERVING").service'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if by != "" {
				wrong := checkGroupBy(cmd, by, out.format, names, map[string]bool{"all": all, "wait": wait != "", "where": only.text != ""})
				if err := errors.Join(out.check(cmd), checkNames(names), wrong); err != nil {
					return err
				}
				return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
					return a.statusGroups(ctx, conn, &out, names, by)
				})
			}
			wanted, err := parseWait(cmd, wait)
			if err := errors.Join(err, out.check(cmd), checkNames(names), only.parse(cmd, wanted != nil)); err != nil {
				return err
			}
			if wanted != nil {
				return a.waitForStatus(cmd, &t, &out, names, wanted)
			}
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return a.status(ctx, conn, &out, names, &only, all)
			})
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also list instances that are well")
	cmd.Flags().StringVar(&by, "group-by", "", "count instances by `FIELD`: "+wire.GroupByNames)
	only.addTo(cmd)
	cmd.Flags().StringVar(&wait, "wait", "", "wait, up to --timeout, for `STATUS`, or one of several with commas between")
	return cmd
}

// status prints the entries of names, or of the mesh if names is empty. It prints JSON as soon as
// an entry is received, and a table when all entries are received.
func (a *app) status(ctx context.Context, conn *connection, out *output, names []string, only *where, all bool) error {
	received := func(*pb.Health) error { return nil }
	if out.json() {
		received = func(h *pb.Health) error { return printJSON(a.stdout, h) }
	}
	f, err := conn.find(ctx, names, only, received)
	if err != nil {
		return err
	}
	if !out.json() {
		if err := a.printStatus(out, f, all || len(names) > 0); err != nil {
			return err
		}
	}
	code := f.exitCode()
	for _, name := range f.missing {
		a.printError(conn.unknownName(ctx, name))
		code = worstExitCode(code, exitFail)
	}
	if only.given() && len(f.entries) == 0 && len(f.missing) == 0 {
		a.printError(only.nothing())
	}
	if code != exitOK {
		return exitCode(code)
	}
	return nil
}
