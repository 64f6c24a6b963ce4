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
	"github.com/meshhealth/meshhealth/internal/wire"
)

// forceable are the statuses an override may have.
var forceable = []string{"SERVING", "DEGRADED", "NOT_SERVING", "MAINTENANCE"}

// forcing is what the commands that force or free something share.
type forcing struct {
	target
	author, reason string
	length         time.Duration
	isForced       bool // it is to be forced: reason must be there
}

func (f *forcing) flags(cmd *cobra.Command) {
	f.target.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.author, "author", "", "`WHO` does it (default: $USER)")
	if !f.isForced {
		fl.StringVar(&f.reason, "reason", "", "`WHY`, for the history")
		return
	}
	fl.StringVar(&f.reason, "reason", "", "`WHY` (required)")
	fl.DurationVar(&f.length, "for", 0, "for `HOW LONG`, such as 2h (default: until it is cleared)")
}

// check reports all that is wrong with what was given.
func (f *forcing) check(cmd *cobra.Command, getenv func(string) string, scope string) error {
	var errs []error
	add := func(what string, err error) {
		if err != nil {
			errs = append(errs, usage(cmd, "%s: %w", what, err))
		}
	}
	_, err := wire.ParseScope(scope)
	add("SCOPE", err)
	if f.author = or(f.author, getenv("USER")); f.author == "" {
		add("--author", errors.New("is missing, and $USER is not set; who does this?"))
	}
	add("--author", atMost(wire.MaxAuthor)(f.author))
	add("--reason", atMost(wire.MaxText)(f.reason))
	if f.isForced && f.reason == "" {
		add("--reason", errors.New("is missing; whoever sees it will want to know why"))
	}
	if f.length != 0 && (f.length < wire.MinOverrideTTL || f.length > wire.MaxOverrideTTL) {
		add("--for", fmt.Errorf("%v is out of range; allowed: %v to %v", f.length, wire.MinOverrideTTL, brief(wire.MaxOverrideTTL)))
	}
	return errors.Join(errs...)
}

const scopeHelp = `SCOPE is SERVICE/INSTANCE, SERVICE, or what must all match, with commas between:
zone=eu-1, service=payments, label.team=core. It holds for those who come later,
too. Of several that are for one instance the narrowest holds: instance,
service, labels, zone.`

func (a *app) overrideCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "override", Short: "Force statuses, and end that",
		Long: "Force statuses, whatever the instances say, and end that.\n\n" + scopeHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := forcing{isForced: true}
	set := &cobra.Command{
		Use: "set SCOPE STATUS", Short: "Force a status",
		Long:    "Force a status: " + strings.Join(forceable, ", ") + ".\n\n" + scopeHelp,
		Example: `  meshhealth override set payments/a NOT_SERVING --reason "corrupt cache" --for 1h`,
		Args:    twoArgs("SCOPE", "STATUS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.force(cmd, &f, args[0], args[1])
		},
	}
	f.flags(set)
	cmd.AddCommand(set, a.freeCommand("clear SCOPE", "End an override"), a.overridesCommand("List what is forced", false))
	return cmd
}

func (a *app) maintenanceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "maintenance", Short: "Take instances, services or zones out, and back in",
		Long: "Take something out on purpose: MAINTENANCE gets no traffic, and counts against\nnobody.\n\n" + scopeHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := forcing{isForced: true}
	on := &cobra.Command{
		Use: "on SCOPE", Short: "Take out",
		Long:    "Take out what SCOPE is for.\n\n" + scopeHelp,
		Example: `  meshhealth maintenance on zone=eu-1 --reason "new switches" --for 2h`,
		Args:    exactlyOne("SCOPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.force(cmd, &f, args[0], health.Maintenance.String())
		},
	}
	f.flags(on)
	cmd.AddCommand(on, a.freeCommand("off SCOPE", "Take back in"), a.overridesCommand("List what is taken out", true))
	return cmd
}

// freeCommand ends what is forced on a scope.
func (a *app) freeCommand(use, short string) *cobra.Command {
	var f forcing
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + ".\n\n" + scopeHelp, Args: exactlyOne("SCOPE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.free(cmd, &f, args[0]) },
	}
	f.flags(cmd)
	return cmd
}

func (a *app) force(cmd *cobra.Command, f *forcing, scope, word string) error {
	err := f.check(cmd, a.getenv, scope)
	status, known := health.ParseStatus(strings.ToUpper(word))
	if !known || !slices.Contains(forceable, status.String()) {
		err = errors.Join(err, usage(cmd, "STATUS: %q cannot be forced; allowed: %s", word, strings.Join(forceable, ", ")))
	}
	if err != nil {
		return err
	}
	req := &pb.SetOverrideRequest{Name: scope, Status: wire.Status(status), Author: f.author, Reason: f.reason}
	until := "until it is cleared"
	if f.length > 0 {
		req.Ttl, until = durationpb.New(f.length), "for "+brief(f.length)
	}
	return a.ask(cmd, &f.target, func(ctx context.Context, q *asking) error {
		if _, err := q.admin.SetOverride(ctx, req); err != nil {
			return q.explain(err)
		}
		_, err := fmt.Fprintf(a.stdout, "%s is forced to %s %s\n", scope, status, until)
		return err
	})
}

func (a *app) free(cmd *cobra.Command, f *forcing, scope string) error {
	if err := f.check(cmd, a.getenv, scope); err != nil {
		return err
	}
	req := &pb.ClearOverrideRequest{Name: scope, Author: f.author, Reason: f.reason}
	return a.ask(cmd, &f.target, func(ctx context.Context, q *asking) error {
		if _, err := q.admin.ClearOverride(ctx, req); err != nil {
			return q.explain(err)
		}
		_, err := fmt.Fprintf(a.stdout, "nothing is forced on %s\n", scope)
		return err
	})
}
