package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func watchCommand(a *app) *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch [SERVICE[/INSTANCE]...]",
		Short: "Print the present statuses, then each change",
		Long: `Print the present statuses, then one line for each change, until interrupted: of
everything, of services with their instances, or of single instances. The line of
an instance ends with the changes that it has caused in its service and the mesh.
A zone is printed if it differs from its service or the mesh, or with --zones.
-o json prints every entry by itself.

On a terminal, changes scroll above one status line: the status of the mesh, the
number of services by status, of unconfirmed instances (~), whether the watch is
live, the revision, and how late changes arrive. Present statuses that are well are
only counted. At most 20 changes a second are shown; more become one line that
says what they have in common. A symptom names its root after an arrow, and "root"
marks a root. "! gap" says that changes may be missing. Keys: p pauses, / filters (as
status --where), Esc removes the filter, q quits. In a pipe, and with --plain, every
change is a line. -o json and -o jsonl omit nothing.

The watch continues after an outage of the coordinator. It reports the outage on
stderr, and then prints what has changed since.`,
		Example: `  meshhealth watch
  meshhealth watch payments --changes-only
  meshhealth watch payments --figures 5s
  meshhealth watch -o json --for 1m > changes.json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := errors.Join(f.check(cmd), checkNames(names), f.target.complete(cmd, a.getenv)); err != nil {
				return err
			}
			options, err := watchOptions(names)
			if err != nil {
				return usage(cmd, "%w", err)
			}
			options.FiguresEvery = f.figures
			return a.watch(cmd.Context(), &f, options)
		},
	}
	f.more = []string{formatJSONL}
	f.target.addTo(cmd)
	f.output.addTo(cmd)
	cmd.Flags().BoolVar(&f.changesOnly, "changes-only", false, "do not print the present statuses first")
	cmd.Flags().BoolVar(&f.zones, "zones", false, "print every zone, not only those that differ")
	cmd.Flags().IntVar(&f.count, "count", 0, "end after this number of changes (default: never)")
	cmd.Flags().DurationVar(&f.figures, "figures", 0, "also print the figures of each instance, at most this often, from 1s to 1m")
	cmd.Flags().DurationVar(&f.lasting, "for", 0, "end after this time, such as 30s (default: never)")
	return cmd
}

func (f *watchFlags) check(cmd *cobra.Command) error {
	errs := []error{f.output.check(cmd)}
	if f.count < 0 || f.count == 0 && cmd.Flags().Changed("count") {
		errs = append(errs, usage(cmd, "--count: is %d; allowed: 1 or more", f.count))
	}
	if f.figures != 0 && (f.figures < wire.MinHeartbeat || f.figures > wire.MaxHeartbeat) || f.figures == 0 && cmd.Flags().Changed("figures") {
		errs = append(errs, usage(cmd, "--figures: is %v; allowed: %v to %v", f.figures, wire.MinHeartbeat, wire.MaxHeartbeat))
	}
	if f.lasting < 0 || f.lasting == 0 && cmd.Flags().Changed("for") {
		errs = append(errs, usage(cmd, "--for: is %v; allowed: more than 0, such as 30s", f.lasting))
	}
	return errors.Join(errs...)
}

// watchOptions returns the options for a Watch of the given names. If all names are services, the
// Watch includes their instances. If only some of the names are services, watchOptions returns an
// error.
func watchOptions(names []string) (o client.WatchOptions, err error) {
	for _, name := range names {
		if strings.Contains(name, "/") || name == health.MeshName || name == "" {
			o.Names = append(o.Names, name)
		} else {
			o.Services = append(o.Services, name)
		}
	}
	if len(o.Names) > 0 && len(o.Services) > 0 {
		return o, fmt.Errorf("%q is a service and %q is not; allowed: only services, or none", o.Services[0], o.Names[0])
	}
	return o, nil
}

// Causes with which the command watch ends the context of its Watch.
var (
	errNoAnswer = errors.New("no answer")
	errTimeUp   = errors.New("time is up")
)

// watch prints changes until ctx ends, or until the flag --for or --count ends it.
func (a *app) watch(ctx context.Context, f *watchFlags, options client.WatchOptions) error {
	c, closeClient, err := f.watcher()
	if err != nil {
		return err
	}
	defer closeClient()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if f.lasting > 0 {
		defer time.AfterFunc(f.lasting, func() { cancel(errTimeUp) }).Stop()
	}
	answer := time.AfterFunc(f.timeout, func() { cancel(errNoAnswer) })
	defer answer.Stop()
	w := newWatchPrinter(a, f, slices.Concat(options.Services, options.Names))
	w.near = func(name string) (near []string) {
		_ = f.ask(ctx, func(ctx context.Context, conn *connection) error { near = conn.near(ctx, name); return nil })
		return near
	}
	if a.repaints(f) {
		w.view = newWatchView(w.pen, a.zone, a.columns)
		err := w.watchOnTerminal(ctx, func(ctx context.Context) iter.Seq2[client.Update, error] {
			return func(yield func(client.Update, error) bool) {
				for u, err := range c.Watch(ctx, options) {
					answer.Stop()
					if !yield(u, err) {
						return
					}
				}
			}
		})
		if err == nil {
			return nil
		}
		return f.endError(ctx, err)
	}
	for u, err := range c.Watch(ctx, options) {
		answer.Stop()
		if err == nil {
			err = w.print(&u)
		}
		if err != nil {
			return f.endError(ctx, err)
		}
	}
	return nil
}

// endError returns nil if the user or a flag has ended the watch. Otherwise it returns an error for
// the user that says why the watch has failed.
func (f *watchFlags) endError(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errNoAnswer):
		return hinted("Is the address right? --timeout allows more time.", "no answer from %s within %v", f.address, f.timeout)
	case errors.Is(err, errEnough), ctx.Err() != nil:
		return nil
	}
	return f.callError(err)
}
