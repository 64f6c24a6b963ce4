package main

import (
	"context"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// listCommand returns a command that lists overrides. If maintenance is true, the command lists
// only overrides with the status MAINTENANCE.
func listCommand(a *app, short string, maintenance bool) *cobra.Command {
	var (
		t   target
		out output
	)
	cmd := &cobra.Command{
		Use: "list", Short: short, Long: short + ".", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(cmd); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return a.listOverrides(ctx, conn, &out, maintenance)
			})
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	return cmd
}

func (a *app) listOverrides(ctx context.Context, conn *connection, out *output, maintenance bool) error {
	resp, err := conn.admin.ListOverrides(ctx, &pb.ListOverridesRequest{})
	if err != nil {
		return conn.callError(err)
	}
	var list []*pb.ForcedScope
	for _, o := range resp.GetOverrides() {
		if !maintenance || o.GetOverride().GetStatus() == pb.Status_STATUS_MAINTENANCE {
			list = append(list, o)
		}
	}
	switch {
	case len(list) > 0 || out.json():
		return a.printOverrides(out, list)
	case maintenance:
		a.say("Nothing is in maintenance.")
	default:
		a.say("Nothing is forced.")
	}
	return nil
}

func (a *app) printOverrides(out *output, list []*pb.ForcedScope) error {
	if out.json() {
		for _, o := range list {
			if err := printJSON(a.stdout, o); err != nil {
				return err
			}
		}
		return nil
	}
	p, now := a.pen(out.colour), a.now()
	t := table{head: []string{"STATUS", "SCOPE", "FORCES", "SINCE", "ENDS IN", "BY", "WHY"}}
	for _, f := range list {
		o, ends := f.GetOverride(), "never"
		switch scope, err := health.ParseScope(o.GetScope()); {
		case o.GetExpiresAt() != nil:
			ends = age(o.GetExpiresAt().AsTime().Sub(now))
		case err == nil && scope.Instance != "" && f.GetInstances() == 0:
			ends = "1d after it left"
		}
		t.add(p.status(o.GetStatus()), cell{text: o.GetScope()}, cell{text: plural(int(f.GetInstances()), "instance")},
			cell{text: age(now.Sub(o.GetSetAt().AsTime()))}, cell{text: ends}, cell{text: o.GetAuthor()}, cell{text: o.GetReason()})
	}
	return t.print(a.stdout, p, a.columns)
}

// actionCells returns the table cells for a transition which says that an override was set, was
// cleared or has ended.
func actionCells(p pen, t *pb.Transition) []cell {
	what := map[pb.Action]string{
		pb.Action_ACTION_OVERRIDE_SET:     "forced",
		pb.Action_ACTION_OVERRIDE_CLEARED: "freed",
		pb.Action_ACTION_OVERRIDE_ENDED:   "freed: its time has ended",
	}[t.GetAction()]
	if t.GetBy() != "" {
		what += " by " + t.GetBy()
	}
	if t.GetReason() != "" {
		what += ": " + t.GetReason()
	}
	status := p.status(t.GetTo())
	if t.GetAction() != pb.Action_ACTION_OVERRIDE_SET {
		status.style = faint
	}
	return []cell{status, {}, {t.GetScope(), plainText}, {causeOf(t.GetCause()), plainText}, {what, plainText}}
}
