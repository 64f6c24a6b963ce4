package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func (a *app) registerCommand() *cobra.Command {
	var (
		t      target
		out    output
		reg    pb.Registration
		labels []string
	)
	cmd := &cobra.Command{
		Use:   "register SERVICE/INSTANCE --address HOST:PORT",
		Short: "Register an instance that cannot do it itself",
		Long: `Register an instance until it is deregistered by hand. It has no lease: no
silence removes it. Services that can should register themselves, with the
client library.

The same command again changes what is different.`,
		Example: `  meshhealth register cache/a --address 127.0.0.1:6380 --label team=core`,
		Args:    exactlyOne("SERVICE/INSTANCE"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := errors.Join(out.check(cmd), fill(cmd, &reg, names[0], labels)); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, q *asking) error {
				return a.register(ctx, q, &out, &reg)
			})
		},
	}
	t.flags(cmd)
	out.flag(cmd)
	registrationFlags(cmd, &reg, &labels)
	return cmd
}

func registrationFlags(cmd *cobra.Command, reg *pb.Registration, labels *[]string) {
	fl := cmd.Flags()
	fl.StringVar(&reg.Address, "address", "", "`HOST:PORT` where it serves; :PORT means where you are (required)")
	fl.StringArrayVar(labels, "label", nil, "`KEY=VALUE`; may be given several times")
	fl.StringVar(&reg.HealthName, "health-name", "", "`NAME` to ask it for (default: the service)")
	fl.StringVar(&reg.Zone, "zone", "", "the `ZONE` it is in")
	fl.StringVar(&reg.Version, "version", "", "the `VERSION` it runs")
	fl.StringVar(&reg.Rule, "rule", "", "`RULE` its service is judged by: "+health.RuleNames)
	fl.Uint32Var(&reg.MinAvailable, "min-available", 0, "`PERCENT` of its service that must be routable (default: the coordinator's)")
	fl.BoolVar(&reg.Optional, "optional", false, "the mesh does not get worse for its service")
	fl.StringVar(&reg.ServerName, "instance-server-name", "", "`NAME` in its certificate (default: HOST)")
}

// fill completes a registration, and reports all that is wrong with it.
func fill(cmd *cobra.Command, reg *pb.Registration, name string, labels []string) error {
	var errs []error
	add := func(what string, err error) {
		if err != nil {
			errs = append(errs, usage(cmd, "%s: %w", what, err))
		}
	}
	id, err := wire.ParseInstance(name)
	add("SERVICE/INSTANCE", err)
	reg.Service, reg.Instance, reg.Static = id.Service, id.Instance, true
	if reg.Address == "" {
		add("--address", errors.New("is missing; where does it serve?"))
	} else {
		add("--address", wire.CheckAddress(reg.Address))
	}
	reg.Labels, err = parseLabels(labels)
	add("--label", err)
	add("--label", wire.CheckLabels(reg.GetLabels()))
	add("--health-name", wire.CheckHealthName(reg.GetHealthName()))
	add("--zone", wire.CheckZone(reg.GetZone()))
	add("--version", atMost(wire.MaxVersion)(reg.GetVersion()))
	add("--rule", wire.CheckRule(reg.GetRule()))
	add("--min-available", wire.CheckMinAvailable(int(reg.GetMinAvailable())))
	add("--instance-server-name", atMost(wire.MaxServerName)(reg.GetServerName()))
	return errors.Join(errs...)
}

func parseLabels(list []string) (map[string]string, error) {
	var labels map[string]string
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("%q has no =; allowed: KEY=VALUE", text)
		}
		if _, twice := labels[key]; twice {
			return nil, fmt.Errorf("%q is given twice", key)
		}
		labels = with(labels, key, value)
	}
	return labels, nil
}

func (a *app) register(ctx context.Context, q *asking, out *output, reg *pb.Registration) error {
	resp, err := q.registry.Register(ctx, &pb.RegisterRequest{Registrations: []*pb.Registration{reg}})
	if err != nil {
		return q.explain(err)
	}
	for _, lease := range resp.GetLeases() {
		if out.json() {
			err = printJSON(a.stdout, lease)
		} else {
			_, err = fmt.Fprintf(a.stdout, "registered %s/%s at %s\n", cleanLines(lease.GetService()),
				cleanLines(lease.GetInstance()), cleanLines(lease.GetAddress()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *app) deregisterCommand() *cobra.Command {
	var (
		t   target
		out output
	)
	cmd := &cobra.Command{
		Use:   "deregister SERVICE/INSTANCE...",
		Short: "Remove instances that were registered by hand",
		Args:  atLeastOne("SERVICE/INSTANCE"),
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
			return a.ask(cmd, &t, func(ctx context.Context, q *asking) error {
				return a.deregister(ctx, q, &out, names)
			})
		},
	}
	t.flags(cmd)
	out.flag(cmd)
	return cmd
}

// deregister removes what can be removed, and says what could not.
func (a *app) deregister(ctx context.Context, q *asking, out *output, names []string) error {
	failed := false
	for _, name := range names {
		if err := a.deregisterOne(ctx, q, out, name); err != nil {
			a.complain(err)
			failed = true
		}
	}
	if failed {
		return exitCode(exitFail)
	}
	return nil
}

func (a *app) deregisterOne(ctx context.Context, q *asking, out *output, name string) error {
	id, err := wire.ParseInstance(name)
	if err != nil {
		return err
	}
	req := &pb.DeregisterRequest{Service: id.Service, Instance: id.Instance}
	if _, err := q.registry.Deregister(ctx, req); err != nil {
		if wire.ReasonOf(err) == wire.ReasonNotFound {
			return q.unknown(ctx, name)
		}
		return q.explain(err)
	}
	if out.json() {
		return printJSON(a.stdout, req)
	}
	_, err = fmt.Fprintf(a.stdout, "deregistered %s\n", name)
	return err
}
