package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// forceable are the statuses that an override may set.
var forceable = []string{"SERVING", "DEGRADED", "NOT_SERVING", "MAINTENANCE"}

// overrideFlags are the flags of the commands that set or clear an override.
type overrideFlags struct {
	target
	reason string
	length time.Duration
	sets   bool // true if the command sets an override, so that --reason and --for are required
}

func (f *overrideFlags) addTo(cmd *cobra.Command) {
	f.target.addTo(cmd)
	fl := cmd.Flags()
	if !f.sets {
		fl.StringVar(&f.reason, "reason", "", "`WHY`, for the history")
		return
	}
	fl.StringVar(&f.reason, "reason", "", "`WHY` (required)")
	fl.DurationVar(&f.length, "for", 0, "for `HOW LONG`, such as 2h (required)")
}

// check checks all flags.
func (f *overrideFlags) check(scope string) error {
	var errs fields.Errors
	_, err := wire.ParseScope(scope)
	errs.Add("SCOPE", err)
	errs.Add("--reason", input.CheckLength(wire.MaxText)(f.reason))
	if f.sets && f.reason == "" {
		errs.Addf("--reason", "is missing; others will want to know why")
	}
	switch {
	case f.sets && f.length == 0:
		errs.Addf("--for", "is missing; allowed: %v to %v", wire.MinOverrideTTL, input.FormatDuration(wire.MaxOverrideTTL))
	case f.length != 0 && (f.length < wire.MinOverrideTTL || f.length > wire.MaxOverrideTTL):
		errs.Addf("--for", "is %v; allowed: %v to %v", f.length, wire.MinOverrideTTL, input.FormatDuration(wire.MaxOverrideTTL))
	}
	return errs.Join()
}

// overrideError returns an error for the user, which says why an override was not set or cleared.
func (conn *connection) overrideError(ctx context.Context, scope string, err error) error {
	if wire.ReasonOf(err) == wire.ReasonNotFound {
		return conn.unknownScope(ctx, scope)
	}
	return conn.callError(err)
}

const scopeHelp = `SCOPE is SERVICE/INSTANCE, SERVICE, or conditions that must all match, with commas
between: zone=eu-1, service=payments, label.team=core. A value with commas needs
quotes, which must be protected from the shell: 'label.team="core,web"'. The
override also applies to instances that register later. If several overrides match
an instance, the narrowest applies: instance, service, labels, zone.`

func overrideCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "override", Short: "Force a status, or stop forcing it",
		Long: "Force a status, whatever the instances report, or stop forcing it.\n\n" + scopeHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := overrideFlags{sets: true}
	set := &cobra.Command{
		Use: "set SCOPE STATUS", Short: "Force a status",
		Long:    "Force a status: " + strings.Join(forceable, ", ") + ".\n\n" + scopeHelp,
		Example: `  meshhealth override set payments/a NOT_SERVING --reason "corrupt cache" --for 1h`,
		Args:    exactlyTwo("SCOPE", "STATUS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.setOverride(cmd, &f, args[0], args[1])
		},
	}
	f.addTo(set)
	cmd.AddCommand(set, clearCommand(a, "clear SCOPE", "Stop forcing a status"), listCommand(a, "List all overrides", false))
	return cmd
}

func maintenanceCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "maintenance", Short: "Take instances, services or zones out of use, and back",
		Long: "Take instances, services or zones out of use. In MAINTENANCE they get no traffic,\nand do not make any service or mesh worse.\n\n" + scopeHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := overrideFlags{sets: true}
	on := &cobra.Command{
		Use: "on SCOPE", Short: "Take out of use",
		Long:    "Take out of use what SCOPE matches.\n\n" + scopeHelp,
		Example: `  meshhealth maintenance on zone=eu-1 --reason "new switches" --for 2h`,
		Args:    exactlyOne("SCOPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.setOverride(cmd, &f, args[0], health.Maintenance.String())
		},
	}
	f.addTo(on)
	cmd.AddCommand(on, clearCommand(a, "off SCOPE", "Take back into use"), listCommand(a, "List what is in maintenance", true))
	return cmd
}

// clearCommand returns a command that removes the override of a scope.
func clearCommand(a *app, use, short string) *cobra.Command {
	var f overrideFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + ".\n\n" + scopeHelp, Args: exactlyOne("SCOPE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.clearOverride(cmd, &f, args[0]) },
	}
	f.addTo(cmd)
	return cmd
}

func (a *app) setOverride(cmd *cobra.Command, f *overrideFlags, scope, word string) error {
	err := f.check(scope)
	status, known := health.ParseStatus(strings.ToUpper(word))
	if !known || !slices.Contains(forceable, status.String()) {
		err = errors.Join(err, fmt.Errorf("STATUS: %q cannot be forced; allowed: %s", word, strings.Join(forceable, ", ")))
	}
	if err != nil {
		return usageAll(cmd, err)
	}
	req := &pb.SetOverrideRequest{Name: scope, Status: wire.Status(status), Reason: f.reason, Ttl: durationpb.New(f.length)}
	return a.ask(cmd, &f.target, func(ctx context.Context, conn *connection) error {
		if _, err := conn.admin.SetOverride(ctx, req); err != nil {
			return conn.overrideError(ctx, scope, err)
		}
		_, err := fmt.Fprintf(a.stdout, "%s is forced to %s for %s\n", scope, status, input.FormatDuration(f.length))
		return err
	})
}

func (a *app) clearOverride(cmd *cobra.Command, f *overrideFlags, scope string) error {
	if err := f.check(scope); err != nil {
		return usageAll(cmd, err)
	}
	req := &pb.ClearOverrideRequest{Name: scope, Reason: f.reason}
	return a.ask(cmd, &f.target, func(ctx context.Context, conn *connection) error {
		if _, err := conn.admin.ClearOverride(ctx, req); err != nil {
			return conn.overrideError(ctx, scope, err)
		}
		_, err := fmt.Fprintf(a.stdout, "%s: no status is forced on it now\n", scope)
		return err
	})
}
