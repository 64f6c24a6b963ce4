package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// The exit codes of probe are those of grpc-health-probe, whose place it takes
// in manifests.
const (
	probeArguments = 1
	probeConnect   = 2
	probeRPC       = 3
	probeUnhealthy = 4
)

// probe is one call of the probe command.
type probe struct {
	address, service, userAgent string
	connectTimeout, rpcTimeout  time.Duration
	headers                     headers
	tls, noVerify               bool
	ca, cert, key, serverName   string
	alts, spiffe                bool
	gzip, verbose, version      bool
	watch, degradedFails        bool
}

func (p *probe) flags(fl *flag.FlagSet) {
	fl.StringVar(&p.address, "addr", "", "`HOST:PORT` to ask, or unix:///PATH")
	fl.StringVar(&p.service, "service", "", "service `NAME` to ask for (default: the server itself)")
	fl.BoolVar(&p.watch, "watch", false, "print every change until interrupted")
	fl.BoolVar(&p.degradedFails, "degraded-fails", false, "take DEGRADED for unhealthy")
	fl.DurationVar(&p.connectTimeout, "connect-timeout", time.Second, "how long to wait for a connection")
	fl.DurationVar(&p.rpcTimeout, "rpc-timeout", time.Second, "how long to wait for an answer")
	fl.Var(&p.headers, "rpc-header", "`'NAME: VALUE'` to send along; may be given several times")
	fl.StringVar(&p.userAgent, "user-agent", "meshhealth-probe", "user-agent to send")
	fl.BoolVar(&p.gzip, "gzip", false, "compress calls")
	fl.BoolVar(&p.tls, "tls", false, "use TLS (default: plaintext)")
	fl.BoolVar(&p.noVerify, "tls-no-verify", false, "do not verify the server's certificate")
	fl.StringVar(&p.ca, "tls-ca-cert", "", "`FILE` with the roots of the server's certificate (default: the system's)")
	fl.StringVar(&p.cert, "tls-client-cert", "", "`FILE` with a certificate to show")
	fl.StringVar(&p.key, "tls-client-key", "", "`FILE` with its key")
	fl.StringVar(&p.serverName, "tls-server-name", "", "`NAME` in the server's certificate (default: HOST)")
	fl.BoolVar(&p.alts, "alts", false, "is refused: ALTS is not supported")
	fl.BoolVar(&p.spiffe, "spiffe", false, "is refused: SPIFFE is not supported")
	fl.BoolVar(&p.verbose, "v", false, "say more")
	fl.BoolVar(&p.version, "version", false, "print the version")
}

func (a *app) probeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe HOST:PORT [flags]",
		Short: "Ask one server, as grpc-health-probe does",
		Long: `Ask one server for its health, once: for probes of kubelet and the like.

It takes the flags of grpc-health-probe, with one dash or two, and exits as that
does. DEGRADED counts as healthy and is printed.

The exit code is
  0 SERVING, or DEGRADED   1 wrong arguments   2 not connected
  3 not answered           4 anything else

Flags:
` + probeFlags(),
		Example: `  meshhealth probe localhost:9000
  meshhealth probe -addr=localhost:9000 -service=payments -rpc-timeout=500ms
  meshhealth probe localhost:9000 --watch`,
		// The flags are those of another program, which has them of package flag.
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parseProbe(args)
			switch {
			case errors.Is(err, flag.ErrHelp):
				return cmd.Help()
			case err != nil:
				a.complain(hintedAll(err, "Try `meshhealth probe --help`."))
				return exitCode(probeArguments)
			case p.version:
				return a.printVersion(&output{format: "table"}, thisBuild())
			}
			return a.probe(cmd.Context(), p)
		},
	}
	cmd.Flags().BoolP("help", "h", false, "")
	_ = cmd.Flags().MarkHidden("help")
	return cmd
}

// parseProbe reads flags, which may stand before and after the address.
func parseProbe(args []string) (*probe, error) {
	p := &probe{}
	fl := probeSet(p)
	for {
		if err := fl.Parse(args); err != nil {
			return nil, err
		}
		if fl.NArg() == 0 {
			break
		}
		if p.address != "" {
			return nil, fmt.Errorf("unexpected argument %q: one address at most", fl.Arg(0))
		}
		p.address, args = fl.Arg(0), fl.Args()[1:]
	}
	if p.version {
		return p, nil
	}
	return p, p.check()
}

func probeSet(p *probe) *flag.FlagSet {
	fl := flag.NewFlagSet("probe", flag.ContinueOnError)
	fl.SetOutput(io.Discard) // what is wrong is told by us
	p.flags(fl)
	return fl
}

func probeFlags() string {
	var b strings.Builder
	fl := probeSet(&probe{})
	fl.SetOutput(&b)
	fl.PrintDefaults()
	return strings.TrimSuffix(b.String(), "\n")
}

// check reports everything that is wrong.
func (p *probe) check() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(p.address == "", "no address given; allowed: HOST:PORT")
	if p.address != "" && !strings.HasPrefix(p.address, "unix:") {
		err := checkTarget(p.address)
		wrong(err != nil, "-addr: %w", err)
	}
	wrong(p.connectTimeout <= 0, "-connect-timeout: %v is no time; allowed: more than 0, such as 1s", p.connectTimeout)
	wrong(p.rpcTimeout <= 0, "-rpc-timeout: %v is no time; allowed: more than 0, such as 1s", p.rpcTimeout)
	wrong(p.alts, "-alts: ALTS is not supported; allowed: plaintext and -tls")
	wrong(p.spiffe, "-spiffe: SPIFFE is not supported; allowed: plaintext and -tls")
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"tls-no-verify", p.noVerify},
		{"tls-ca-cert", p.ca != ""},
		{"tls-client-cert", p.cert != ""},
		{"tls-client-key", p.key != ""},
		{"tls-server-name", p.serverName != ""},
	} {
		wrong(f.given && !p.tls, "-%s is given without -tls", f.name)
	}
	wrong((p.cert == "") != (p.key == ""), "-tls-client-cert and -tls-client-key: one is given; allowed: both or none")
	wrong(p.noVerify && (p.ca != "" || p.serverName != ""), "-tls-no-verify is given beside what to verify; allowed: one of them")
	return errors.Join(errs...)
}

// headers are what is sent along with a call.
type headers struct{ metadata.MD }

const maxHeaders = 32

// String implements flag.Value.
func (h *headers) String() string { return "" }

// Set implements flag.Value.
func (h *headers) Set(text string) error {
	name, value, ok := strings.Cut(text, ":")
	value = strings.TrimSpace(value)
	switch {
	case !ok || name == "" || strings.HasPrefix(strings.ToLower(name), "grpc-"):
		return errors.New("allowed: 'NAME: VALUE', where NAME does not begin with grpc-")
	case wire.Clean(text) != text:
		return errors.New("has control characters in it, or is too long")
	case len(h.MD) == maxHeaders:
		return fmt.Errorf("are too many; allowed: %d", maxHeaders)
	}
	if h.MD == nil {
		h.MD = metadata.MD{}
	}
	h.Append(name, value)
	return nil
}

// hintedAll adds a hint to each of several errors.
func hintedAll(err error, hint string) error {
	var all []error
	for _, one := range flatten(err) {
		all = append(all, &fault{one, hint})
	}
	return errors.Join(all...)
}
