package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc/metadata"
)

// probe has the values of the flags of the command probe.
type probe struct {
	address, service, userAgent string
	connectTimeout, rpcTimeout  time.Duration
	headers                     headers
	tls, noVerify               bool
	ca, cert, key, serverName   string
	alts, spiffe                bool
	gzip, verbose, version      bool
	watch, degradedFails        bool
	// ignored are the arguments after the first argument that is not a flag. They have no
	// effect.
	ignored []string
}

func (p *probe) flags(fl *flag.FlagSet) {
	fl.StringVar(&p.address, "addr", "", "`HOST:PORT` to ask, :PORT on this machine, or unix:, dns: or passthrough:")
	fl.StringVar(&p.service, "service", "", "service `NAME` to ask for (default: the server itself)")
	fl.BoolVar(&p.watch, "watch", false, "print every change until interrupted")
	fl.BoolVar(&p.degradedFails, "degraded-fails", false, "treat DEGRADED as unhealthy")
	fl.DurationVar(&p.connectTimeout, "connect-timeout", time.Second, "how long to wait for a connection")
	fl.DurationVar(&p.rpcTimeout, "rpc-timeout", time.Second, "how long to wait for an answer")
	fl.Var(&p.headers, "rpc-header", "`'NAME: VALUE'` to send as a header; may be given several times")
	fl.StringVar(&p.userAgent, "user-agent", "meshhealth-probe", "user-agent to send")
	fl.BoolVar(&p.gzip, "gzip", false, "compress calls")
	fl.BoolVar(&p.tls, "tls", false, "use TLS (default: plaintext)")
	fl.BoolVar(&p.noVerify, "tls-no-verify", false, "do not verify the server's certificate")
	fl.StringVar(&p.ca, "tls-ca-cert", "", "`FILE` with the roots of the server's certificate (default: the system's)")
	fl.StringVar(&p.cert, "tls-client-cert", "", "`FILE` with our own certificate")
	fl.StringVar(&p.key, "tls-client-key", "", "`FILE` with its key")
	fl.StringVar(&p.serverName, "tls-server-name", "", "`NAME` in the server's certificate (default: HOST)")
	fl.BoolVar(&p.alts, "alts", false, "exits with 2: ALTS is not supported")
	fl.BoolVar(&p.spiffe, "spiffe", false, "exits with 20: SPIFFE is not supported")
	fl.BoolVar(&p.verbose, "v", false, "print more")
	fl.BoolVar(&p.version, "version", false, "print the version")
}

// parseProbe parses the command line. An address without the flag -addr may be before, between or
// after the flags. With -addr, the flags end at the first argument that is not a flag, as for
// grpc-health-probe.
func parseProbe(args []string) (*probe, error) {
	p := &probe{}
	fl := probeSet(p)
	if err := fl.Parse(args); err != nil {
		return nil, err
	}
	named := isGiven(fl, "addr")
	if named {
		p.ignored = fl.Args()
	}
	for !named && fl.NArg() > 0 {
		if p.address != "" {
			return nil, fmt.Errorf("unexpected argument %q; allowed: one address", fl.Arg(0))
		}
		p.address, args = fl.Arg(0), fl.Args()[1:]
		if err := fl.Parse(args); err != nil {
			return nil, err
		}
		if isGiven(fl, "addr") {
			return nil, errors.New("-addr: is given beside an address; allowed: one of them")
		}
	}
	if p.version {
		return p, nil
	}
	return p, p.check()
}

func isGiven(fl *flag.FlagSet, name string) (given bool) {
	fl.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

func probeSet(p *probe) *flag.FlagSet {
	fl := flag.NewFlagSet("probe", flag.ContinueOnError)
	fl.SetOutput(io.Discard) // the caller prints errors
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

// check returns an error with one line for each wrong flag.
func (p *probe) check() error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(p.address == "", "no address given; allowed: HOST:PORT")
	refuse(p.connectTimeout <= 0, "-connect-timeout: is %v; allowed: more than 0, such as 1s", p.connectTimeout)
	refuse(p.rpcTimeout <= 0, "-rpc-timeout: is %v; allowed: more than 0, such as 1s", p.rpcTimeout)
	refuse(p.alts && p.spiffe || p.alts && p.tls || p.spiffe && p.tls, "-tls, -alts, -spiffe: more than one is given; allowed: one of them")
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
		refuse(f.given && !p.tls, "-%s is given without -tls", f.name)
	}
	refuse((p.cert == "") != (p.key == ""), "-tls-client-cert and -tls-client-key: one is given; allowed: both or none")
	refuse(p.noVerify && (p.ca != "" || p.serverName != ""), "-tls-no-verify is given beside what to verify; allowed: one of them")
	return errors.Join(errs...)
}

// headers are the values of the flag -rpc-header. The probe sends them as gRPC headers with each
// call.
type headers struct{ metadata.MD }

// String implements flag.Value.
func (h *headers) String() string { return "" }

// Set implements flag.Value. It does not check whether HTTP/2 allows the header, and neither does
// grpc-health-probe. gRPC refuses a forbidden header when the probe makes the call.
func (h *headers) Set(text string) error {
	name, value, ok := strings.Cut(text, ":")
	if !ok {
		return errors.New("allowed: 'NAME: VALUE'")
	}
	if h.MD == nil {
		h.MD = metadata.MD{}
	}
	h.Append(name, strings.TrimLeftFunc(value, unicode.IsSpace))
	return nil
}
