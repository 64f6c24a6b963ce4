package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/envoyconfig"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// maxServices is the largest number of flags --service.
	maxServices = 1000
	// systemRoots is where Debian and others have the roots of public certificates.
	systemRoots = "/etc/ssl/certs/ca-certificates.crt"
)

// bootstrapFlags are the flags of the command `envoy bootstrap`.
type bootstrapFlags struct {
	target
	b              envoyconfig.Bootstrap
	services       []string
	tlsNames       []string
	panicThreshold int // -1 if the flag was not given
	grpc           bool
}

func envoyBootstrapCommand(a *app) *cobra.Command {
	var f bootstrapFlags
	cmd := &cobra.Command{
		Use:   "bootstrap {--service SERVICE... [--static] | --grpc}",
		Short: "Print the configuration with which an Envoy or a gRPC client starts",
		Long: `Print the configuration with which an Envoy starts that routes calls to services and
follows their health. It asks the coordinator at --coordinator over ADS. The files of
--tls-ca and the like are on the machine of the Envoy.

With --static, Envoy asks the coordinator with health checks about the instances that
are registered now. It then learns neither DEGRADED nor new instances. To list the
instances, this command asks the coordinator.

With --grpc, print the configuration of a gRPC client instead, for the file that
GRPC_XDS_BOOTSTRAP names. The client then calls xds:///SERVICE.`,
		Example: `  meshhealth envoy bootstrap --service payments > envoy.yaml
  meshhealth envoy bootstrap --grpc > bootstrap.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return envoyBootstrap(a, cmd, &f) },
	}
	f.addTo(cmd)
	return cmd
}

func (f *bootstrapFlags) addTo(cmd *cobra.Command) {
	f.target.addTo(cmd)
	fl := cmd.Flags()
	fl.StringArrayVar(&f.services, "service", nil, "`SERVICE` to which it routes calls; may be given several times")
	fl.StringVar(&f.b.Node, "node", "", "`NAME` of this client in `xds status` (default: envoy, or grpc)")
	fl.StringVar(&f.b.Cluster, "cluster", "", "`NAME` of the group of this client (default: envoy, or grpc)")
	fl.StringVar(&f.b.Listen, "listen", "127.0.0.1:10000", "`IP:PORT` where Envoy takes calls")
	fl.StringVar(&f.b.Admin, "admin", "127.0.0.1:9901", "`IP:PORT` of the administration of Envoy")
	fl.IntVar(&f.panicThreshold, "panic-threshold", -1, "`PERCENT` of usable endpoints below which Envoy uses all; -1 means 0, or 50 with --static")
	fl.BoolVar(&f.b.DetectDegraded, "detect-degraded", false, "an endpoint is degraded if its replies have x-envoy-degraded")
	fl.StringVar(&f.b.ServiceCA, "service-ca", "", "`FILE` with the roots of the certificates of services that speak TLS")
	fl.StringArrayVar(&f.tlsNames, "service-tls-name", nil, "`NAME` in the certificates of the services; may be given several times")
	fl.BoolVar(&f.b.Static, "static", false, "Envoy asks about each instance with health checks, and not over ADS")
	fl.BoolVar(&f.grpc, "grpc", false, "print the bootstrap of a gRPC client")
}

func envoyBootstrap(a *app, cmd *cobra.Command, f *bootstrapFlags) error {
	if err := f.complete(cmd, a.getenv); err != nil {
		return usageAll(cmd, err)
	}
	write := f.b.Envoy
	switch {
	case f.grpc:
		write = f.b.GRPC
	case f.b.Static:
		err := a.ask(cmd, &f.target, func(ctx context.Context, conn *connection) error {
			return f.addInstances(ctx, conn)
		})
		if err != nil {
			return err
		}
	}
	text, err := write()
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.stdout, text)
	return err
}

// complete fills in defaults and checks all flags. It reads no file, because the files are on another
// machine.
func (f *bootstrapFlags) complete(cmd *cobra.Command, getenv func(string) string) error {
	f.address = cmp.Or(f.address, getenv(coordinatorEnv), coordinator.DefaultListen)
	b, kind := &f.b, "envoy"
	if f.grpc {
		kind = "grpc"
	}
	b.Node, b.Cluster, b.Coordinator = cmp.Or(b.Node, kind), cmp.Or(b.Cluster, kind), f.address
	var errs fields.Errors
	errs.Add("--coordinator", checkTarget(f.address))
	errs.Add("--node", wire.CheckText(b.Node, 1, maxNode))
	errs.Add("--cluster", wire.CheckText(b.Cluster, 1, maxNode))
	f.completeTLS(&errs)
	if f.grpc {
		f.checkGRPC(cmd, &errs)
	} else {
		f.completeEnvoy(&errs)
	}
	return errs.Join()
}

// completeTLS decides how the client connects to the coordinator, by the same rules as commands do.
func (f *bootstrapFlags) completeTLS(errs *fields.Errors) {
	for _, one := range []struct{ flag, path string }{
		{"--tls-ca", f.tls.CA}, {"--tls-cert", f.tls.Cert}, {"--tls-key", f.tls.Key}, {"--service-ca", f.b.ServiceCA},
	} {
		errs.Add(one.flag, input.CheckPath(one.path))
	}
	switch {
	case f.insecure && f.tls != (config.TLS{}):
		errs.Addf("--insecure", "is given beside TLS flags; allowed: one of them")
	case f.tls.Cert != "" && f.tls.Key == "":
		errs.Addf("--tls-key", "is missing beside --tls-cert; allowed: both or none")
	case f.tls.Cert == "" && f.tls.Key != "":
		errs.Addf("--tls-cert", "is missing beside --tls-key; allowed: both or none")
	case f.plaintext():
		return
	case f.tls.CA == "" && !f.grpc:
		errs.Addf("--tls-ca", "is missing, and Envoy has no roots of its own; allowed: a file such as %s, or --insecure", systemRoots)
	}
	f.b.TLS = &envoyconfig.TLS{CA: f.tls.CA, Cert: f.tls.Cert, Key: f.tls.Key, ServerName: f.tls.ServerName}
}

func (f *bootstrapFlags) checkGRPC(cmd *cobra.Command, errs *fields.Errors) {
	for _, name := range []string{"service", "static", "panic-threshold", "detect-degraded", "listen", "admin", "service-tls-name"} {
		if cmd.Flags().Changed(name) {
			errs.Addf("--"+name, "is given beside --grpc; allowed: one of them")
		}
	}
	if f.tls.ServerName != "" {
		errs.Addf("--server-name", "is given beside --grpc; allowed: the name as the host of --coordinator")
	}
}

func (f *bootstrapFlags) completeEnvoy(errs *fields.Errors) {
	b := &f.b
	errs.Add("--listen", checkIPPort(b.Listen))
	errs.Add("--admin", checkIPPort(b.Admin))
	switch {
	case f.panicThreshold == -1 && b.Static:
		b.PanicThreshold = 50
	case f.panicThreshold == -1:
	case f.panicThreshold < 0 || f.panicThreshold > 100:
		errs.Addf("--panic-threshold", "is %d; allowed: 0 to 100", f.panicThreshold)
	default:
		b.PanicThreshold = f.panicThreshold
	}
	if b.Static {
		if checkIPPort(f.address) != nil {
			errs.Addf("--coordinator", "has the host %q; allowed with --static: an IP address, because Envoy resolves no names there", hostOf(f.address))
		}
		if len(f.tlsNames) > 0 {
			errs.Addf("--service-tls-name", "is given beside --static; allowed: the names that are registered")
		}
	} else if len(f.tlsNames) > 0 && b.ServiceCA == "" {
		errs.Addf("--service-ca", "is missing beside --service-tls-name; allowed: both or none")
	} else if len(f.tlsNames) == 0 && b.ServiceCA != "" {
		errs.Addf("--service-tls-name", "is missing beside --service-ca; allowed: both or none")
	}
	errs.Add("--service-tls-name", wire.CheckTLSNames(f.tlsNames))
	errs.Add("--service", f.completeServices())
}

func (f *bootstrapFlags) completeServices() error {
	switch n := len(f.services); {
	case n == 0:
		return errors.New("is missing; allowed: the name of a service")
	case n > maxServices:
		return fmt.Errorf("is given %d times; allowed: at most %d", n, maxServices)
	}
	var names []string
	for _, name := range f.services {
		if err := wire.CheckService(name); err != nil {
			return fmt.Errorf("%q %w", wire.CleanTo(name, wire.MaxName), err)
		}
		// Callers select a service by the name of a host, and its case has no meaning.
		if lower := strings.ToLower(name); slices.Contains(names, lower) {
			return fmt.Errorf("%s is there twice, apart from its case; allowed: once", name)
		} else if name == envoyconfig.CoordinatorCluster {
			return fmt.Errorf("is %s, which is the cluster of the coordinator; allowed: another service", name)
		} else {
			names = append(names, lower)
		}
		f.b.Services = append(f.b.Services, envoyconfig.Service{Name: name, TLSNames: f.tlsNames})
	}
	return nil
}

// checkIPPort requires an IP address and a port.
func checkIPPort(address string) error {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return fmt.Errorf("is %q; allowed: IP:PORT", wire.CleanTo(address, wire.MaxAddress))
	}
	return nil
}

func hostOf(address string) string {
	host, _, _ := wire.SplitAddress(address)
	return wire.CleanTo(host, wire.MaxAddress)
}

// addInstances asks the coordinator for the instances of the services. Instances that routing clients
// do not learn of are left out.
func (f *bootstrapFlags) addInstances(ctx context.Context, conn *connection) error {
	for i := range f.b.Services {
		s := &f.b.Services[i]
		for page, err := range conn.routes(ctx, s.Name) {
			if err != nil {
				return err
			}
			for _, one := range page.GetInstances() {
				h := one.GetHealth()
				at, err := netip.ParseAddrPort(h.GetEndpoint())
				if err != nil || h.GetRoute() == pb.Route_ROUTE_DUPLICATE {
					continue
				}
				if len(s.TLSNames) == 0 {
					s.TLSNames = h.GetTraffic().GetTlsNames()
				}
				s.Instances = append(s.Instances, envoyconfig.Instance{
					Name: h.GetInstance(), Endpoint: at, Region: h.GetRegion(), Zone: h.GetZone(), Weight: h.GetTraffic().GetWeight(),
				})
			}
		}
		switch {
		case len(s.Instances) == 0:
			return fmt.Errorf("--service: %s has no instance whose IP address is known; allowed: a service with one", s.Name)
		case len(s.TLSNames) > 0 && f.b.ServiceCA == "":
			return fmt.Errorf("--service-ca: is missing, and %s speaks TLS; allowed: a FILE", s.Name)
		}
	}
	return nil
}
