package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// registerFlags are the flags of the register command.
type registerFlags struct {
	target
	output
	reg    pb.Registration // its field Traffic is set
	labels []string
	file   string
}

func registerCommand(a *app) *cobra.Command {
	f := registerFlags{reg: pb.Registration{Traffic: &pb.Traffic{}}}
	cmd := &cobra.Command{
		Use:   "register {SERVICE/INSTANCE --address HOST:PORT | -f FILE}",
		Short: "Register instances that have no client library",
		Long: `Register an instance until it is deregistered by hand. It has no lease, so that it
is never removed because of silence. A service that has the client library should
register itself.

With -f it registers many instances: from a YAML list, with the keys of services in
the configuration file (and rule, min_available, critical, optional, protocol), or
from JSON objects, one a line; - is stdin. The whole file is checked first. It is
sent in batches of 500, of which all are registered or none. Each registered
instance is printed.

If the instance is registered already, it is changed.`,
		Example: `  meshhealth register cache/a --address 127.0.0.1:6380 --label team=core
  meshhealth register -f services.yaml
  generate | meshhealth register -f -`,
		DisableFlagsInUseLine: true,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			if cmd.Flags().Changed("file") {
				return f.registerFile(a, cmd, names)
			}
			return f.registerOne(a, cmd, names)
		},
	}
	f.target.addTo(cmd)
	f.output.addFormat(cmd)
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "register all that `FILE` lists, in YAML or JSON lines; - is stdin")
	addRegistration(cmd.Flags(), &f.reg, &f.labels)
	return cmd
}

// addRegistration adds the flags that describe one instance to fl. Their values are stored in reg and
// labels.
func addRegistration(fl *pflag.FlagSet, reg *pb.Registration, labels *[]string) {
	fl.StringVar(&reg.Address, "address", "", "`HOST:PORT` where it serves; :PORT means this machine (required)")
	fl.StringArrayVar(labels, "label", nil, "`KEY=VALUE`; may be given several times")
	fl.StringVar(&reg.HealthName, "health-name", "", "`NAME` to ask it for (default: the service)")
	fl.StringVar(&reg.Zone, "zone", "", "its `ZONE`")
	fl.StringVar(&reg.Version, "version", "", "its `VERSION`")
	fl.StringVar(&reg.Rule, "rule", "", "`RULE` for the status of its service: "+health.RuleNames)
	fl.Uint32Var(&reg.MinAvailable, "min-available", 0, "`PERCENT` of its service that must be routable (default: the coordinator's)")
	fl.BoolVar(&reg.Optional, "optional", false, "the mesh does not count its service")
	fl.BoolVar(&reg.Critical, "critical", false, "the mesh is NOT_SERVING as soon as its service is")
	fl.StringVar(&reg.Protocol, "protocol", "", "how it is followed: `auto`, meshhealth, watch or check (default: auto)")
	fl.StringVar(&reg.ServerName, "instance-server-name", "", "`NAME` in its certificate (default: HOST)")
	fl.StringVar(&reg.Traffic.Address, "traffic-address", "", "`HOST:PORT` where it receives traffic (default: --address)")
	fl.Uint32Var(&reg.Traffic.Weight, "weight", 0, "its share of traffic: `1..128` (default: 1)")
	fl.StringArrayVar(&reg.Traffic.TlsNames, "tls-name", nil, "`NAME` that the certificate of its service may have, if the service speaks TLS; may be given several times")
	fl.StringVar(&reg.Region, "region", "", "its `REGION`, in which the zone is")
	fl.StringVar(&reg.Source, "source", "", "the `NAME` of the program that maintains this registration")
}

func (f *registerFlags) registerOne(a *app, cmd *cobra.Command, names []string) error {
	if err := exactlyOne("SERVICE/INSTANCE")(cmd, names); err != nil {
		return err
	}
	if err := errors.Join(f.output.check(cmd), usageAll(cmd, f.complete(names[0]))); err != nil {
		return err
	}
	return a.ask(cmd, &f.target, func(ctx context.Context, conn *connection) error {
		resp, err := conn.registry.Register(ctx, &pb.RegisterRequest{Registrations: []*pb.Registration{&f.reg}})
		if err != nil {
			return conn.callError(err)
		}
		return a.printLeases(&f.output, resp)
	})
}

// complete fills in the name and the labels of the registration, and checks all its fields.
func (f *registerFlags) complete(name string) error {
	var errs fields.Errors
	reg := &f.reg
	id, err := wire.ParseInstance(name)
	errs.Add("SERVICE/INSTANCE", err)
	reg.Service, reg.Instance, reg.Static = id.Service, id.Instance, true
	if reg.Address == "" {
		errs.Addf("--address", "is missing; where does it serve?")
	} else {
		errs.Add("--address", wire.CheckAddress(reg.Address))
	}
	reg.Labels, err = parseLabels(f.labels)
	errs.Add("--label", err)
	errs.Add("--label", wire.CheckLabels(reg.GetLabels()))
	errs.Add("--health-name", wire.CheckHealthName(reg.GetHealthName()))
	errs.Add("--zone", wire.CheckZone(reg.GetZone()))
	errs.Add("--version", input.CheckLength(wire.MaxVersion)(reg.GetVersion()))
	errs.Add("--rule", wire.CheckRule(reg.GetRule()))
	errs.Add("--min-available", wire.CheckMinAvailable(int(reg.GetMinAvailable())))
	if reg.GetCritical() && reg.GetOptional() {
		errs.Addf("--critical", "is given beside --optional; allowed: one of both")
	}
	if _, err := health.ParseProtocol(reg.GetProtocol()); err != nil {
		errs.Addf("--protocol", "%w; allowed: %s", err, health.ProtocolNames)
	}
	errs.Add("--traffic-address", wire.CheckTrafficAddress(reg.GetTraffic().GetAddress(), reg.GetAddress()))
	errs.Add("--weight", wire.CheckWeight(reg.GetTraffic().GetWeight()))
	errs.Add("--tls-name", wire.CheckTLSNames(reg.GetTraffic().GetTlsNames()))
	errs.Add("--region", wire.CheckZone(reg.GetRegion()))
	errs.Add("--source", wire.CheckSource(reg.GetSource()))
	errs.Add("--instance-server-name", input.CheckLength(wire.MaxServerName)(reg.GetServerName()))
	return errs.Join()
}

func parseLabels(list []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("%q has no =; allowed: KEY=VALUE", text)
		}
		if _, twice := labels[key]; twice {
			return nil, fmt.Errorf("%q is given twice", key)
		}
		labels[key] = value
	}
	return labels, nil
}

// registerFile registers all instances in a file, in batches. The coordinator registers either all
// instances of a batch or none. After a failed batch, registerFile sends no further batch.
func (f *registerFlags) registerFile(a *app, cmd *cobra.Command, names []string) error {
	if err := errors.Join(f.output.check(cmd), checkFileOnly(cmd, names)); err != nil {
		return err
	}
	list, err := a.readRegistrations(cmd.Context(), f.file)
	if err != nil {
		return err
	}
	if err := f.target.complete(cmd, a.getenv); err != nil {
		return err
	}
	for done := 0; done < len(list); {
		batch := list[done : done+batchSize(list[done:])]
		err := a.ask(cmd, &f.target, func(ctx context.Context, conn *connection) error {
			return f.registerBatch(ctx, a, conn, batch)
		})
		if err != nil {
			return errors.Join(err, hinted("The same command again is safe: what is registered stays as it is.",
				"%d of %d are registered; those from line %d on are not, or were not confirmed", done, len(list), batch[0].line))
		}
		done += len(batch)
	}
	return nil
}

// checkFileOnly returns an error if the flag --file is used together with a name, or with flags that
// describe one instance.
func checkFileOnly(cmd *cobra.Command, names []string) error {
	var errs []error
	if len(names) > 0 {
		errs = append(errs, usage(cmd, "%q is given beside --file; allowed: one of them", names[0]))
	}
	one := pflag.NewFlagSet("", pflag.ContinueOnError)
	addRegistration(one, &pb.Registration{Traffic: &pb.Traffic{}}, new([]string))
	one.VisitAll(func(f *pflag.Flag) {
		if cmd.Flags().Changed(f.Name) {
			errs = append(errs, usage(cmd, "--%s is given beside --file; allowed: one of them", f.Name))
		}
	})
	return errors.Join(errs...)
}

// batchSize returns how many registrations from the start of list fit into one request. The result
// is at least 1.
func batchSize(list []listed) int {
	const maxBytes = wire.MaxRequest - 64<<10 // 64 KiB of a request are reserved for framing
	bytes := 0
	for i, l := range list {
		if bytes += proto.Size(l.Registration) + 8; i == wire.MaxRegistrations || i > 0 && bytes > maxBytes {
			return i
		}
	}
	return len(list)
}

func (f *registerFlags) registerBatch(ctx context.Context, a *app, conn *connection, batch []listed) error {
	req := &pb.RegisterRequest{}
	for _, l := range batch {
		req.Registrations = append(req.Registrations, l.Registration)
	}
	resp, err := conn.registry.Register(ctx, req)
	if err != nil {
		if p := refusedLines(f.file, batch, status.Convert(err)); p.Err() != nil {
			return p
		}
		return conn.callError(err)
	}
	return a.printLeases(&f.output, resp)
}

// printLeases prints the lease of each registered instance.
func (a *app) printLeases(out *output, resp *pb.RegisterResponse) (err error) {
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
