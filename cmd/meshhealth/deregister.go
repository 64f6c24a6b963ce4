package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func deregisterCommand(a *app) *cobra.Command {
	var (
		t     target
		out   output
		force bool
	)
	cmd := &cobra.Command{
		Use:   "deregister SERVICE/INSTANCE...",
		Short: "Remove instances that were registered by hand, or that are dead",
		Long: `Remove instances that were registered by hand, or that do not renew their lease any
more. An instance that renews its lease is removed only with --force, and comes
back when its process registers again. A target of the coordinator's configuration
comes back at once.`,
		Example: `  meshhealth deregister legacy/legacy-1`,
		Args:    atLeastOne("SERVICE/INSTANCE"),
		RunE: func(cmd *cobra.Command, names []string) error {
			errs := []error{out.check(cmd), checkNames(names)}
			for _, name := range names {
				if _, err := wire.ParseInstance(name); err != nil {
					errs = append(errs, usage(cmd, "%w", err))
				}
			}
			if err := errors.Join(errs...); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return a.deregister(ctx, conn, &out, names, force)
			})
		},
	}
	t.addTo(cmd)
	out.addFormat(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "also remove instances that renew their lease")
	return cmd
}

// deregister removes the named instances. If it cannot remove some of them, it prints an error for
// each of these, and removes the others.
func (a *app) deregister(ctx context.Context, conn *connection, out *output, names []string, force bool) error {
	failed := false
	for _, name := range names {
		if err := a.deregisterOne(ctx, conn, out, name, force); err != nil {
			a.printError(err)
			failed = true
		}
	}
	if failed {
		return exitCode(exitFail)
	}
	return nil
}

func (a *app) deregisterOne(ctx context.Context, conn *connection, out *output, name string, force bool) error {
	id, err := wire.ParseInstance(name)
	if err != nil {
		return err
	}
	resp, err := conn.registry.Deregister(ctx, &pb.DeregisterRequest{Service: id.Service, Instance: id.Instance, Force: force})
	if err != nil {
		if wire.ReasonOf(err) == wire.ReasonNotFound {
			return conn.unknownName(ctx, name)
		}
		return conn.callError(err)
	}
	if out.json() {
		text, err := json.Marshal(deregistered{id.Service, id.Instance, resp.GetReturns()})
		if err != nil {
			return err
		}
		return printLine(a.stdout, text)
	}
	returns := ""
	if resp.GetReturns() {
		returns = "; it will come back: its process, or the configuration, registers it again"
	}
	_, err = fmt.Fprintf(a.stdout, "deregistered %s%s\n", name, returns)
	return err
}

// deregistered is the JSON that the command deregister prints for one instance.
type deregistered struct {
	Service  string `json:"service"`
	Instance string `json:"instance"`
	Returns  bool   `json:"returns"`
}
