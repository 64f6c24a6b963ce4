package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// watchFlags are those of the watch command.
type watchFlags struct {
	target
	output
	changesOnly bool
	count       int
	lasting     time.Duration
}

func (a *app) watchCommand() *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch [SERVICE[/INSTANCE]...]",
		Short: "Print how things are, then each change",
		Long: `Print how things are, then one line for each change, until interrupted: of
everything, of services with their instances, or of single instances.

It outlives the coordinator: while nothing can be heard it says so on stderr,
and then prints what has changed meanwhile.`,
		Example: `  meshhealth watch
  meshhealth watch payments --changes-only
  meshhealth watch -o json --for 1m > changes.json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := errors.Join(f.check(cmd), checkNames(names), f.target.complete(cmd, a.getenv)); err != nil {
				return err
			}
			options, err := watchOptions(names)
			if err != nil {
				return usage(cmd, "%w", err)
			}
			return a.watch(cmd.Context(), &f, options)
		},
	}
	f.target.flags(cmd)
	f.output.flags(cmd)
	cmd.Flags().BoolVar(&f.changesOnly, "changes-only", false, "do not print how things are first")
	cmd.Flags().IntVar(&f.count, "count", 0, "end after so many changes (default: never)")
	cmd.Flags().DurationVar(&f.lasting, "for", 0, "end after so long, such as 30s (default: never)")
	return cmd
}

func (f *watchFlags) check(cmd *cobra.Command) error {
	errs := []error{f.output.check(cmd)}
	if f.count < 0 || f.count == 0 && cmd.Flags().Changed("count") {
		errs = append(errs, usage(cmd, "--count: %d is no number of changes; allowed: 1 or more", f.count))
	}
	if f.lasting < 0 || f.lasting == 0 && cmd.Flags().Changed("for") {
		errs = append(errs, usage(cmd, "--for: %v is no time; allowed: more than 0, such as 30s", f.lasting))
	}
	return errors.Join(errs...)
}

// watchOptions takes services with their instances, or single names.
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

var (
	errNoAnswer = errors.New("no answer")
	errTimeUp   = errors.New("time is up")
	errEnough   = errors.New("enough")
)

// watch prints until ctx ends, or what the flags say.
func (a *app) watch(ctx context.Context, f *watchFlags, options client.WatchOptions) error {
	creds, closeCreds, err := f.credentials()
	if err != nil {
		return err
	}
	defer closeCreds()
	cfg := client.Config{Coordinator: f.address, Insecure: f.insecure}
	if !f.plaintext() {
		cfg.Credentials = creds
	}
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is written on it
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if f.lasting > 0 {
		defer time.AfterFunc(f.lasting, func() { cancel(errTimeUp) }).Stop()
	}
	answer := time.AfterFunc(f.timeout, func() { cancel(errNoAnswer) })
	defer answer.Stop()
	w := newWatching(a, f, options.Services)
	for u, err := range c.Watch(ctx, options) {
		answer.Stop()
		if err == nil {
			err = w.take(&u)
		}
		if err != nil {
			return f.ended(ctx, err)
		}
	}
	return nil
}

// ended tells an end that was wanted from a failure.
func (f *watchFlags) ended(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errNoAnswer):
		return hinted("Is the address right? --timeout allows more time.", "no answer from %s within %v", f.address, f.timeout)
	case errors.Is(err, errEnough), ctx.Err() != nil:
		return nil
	}
	return f.explain(err)
}
