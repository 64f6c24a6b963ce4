package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/internal/wire"
	"github.com/meshhealth/meshhealth/kube/internal/plan"
)

// off turns the HTTP server off.
const off = "off"

// settings are the values of the flags.
type settings struct {
	coordinator                     string
	tls                             config.TLS
	insecure                        bool
	kubeconfig, namespace           string
	cluster                         string
	entries                         bool
	newPods                         string
	elect                           bool
	leaseNamespace, lease, identity string
	leaseDuration                   time.Duration
	http                            string
	logFormat, logLevel             string

	level slog.Level
}

const usage = `meshhealth-kube writes the health of a mesh to the objects of a Kubernetes cluster.

It follows the objects with the label ` + plan.Follow + `:
  ` + plan.FollowOnly + `    writes their condition
  ` + plan.FollowImport + `  also registers the Pod with the coordinator

Flags:
`

// parse parses and checks the flags. The error has one line for each fault. For --help, it writes the
// help to out and returns pflag.ErrHelp.
func parse(args []string, out io.Writer) (*settings, error) {
	s := &settings{}
	fl := pflag.NewFlagSet("meshhealth-kube", pflag.ContinueOnError)
	fl.SortFlags = false
	fl.SetOutput(io.Discard)
	fl.Usage = func() { fmt.Fprint(out, usage, fl.FlagUsages()) }
	s.addTo(fl)
	if err := fl.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil, err
		}
		return nil, badFlag(err)
	}
	if fl.NArg() > 0 {
		return nil, fmt.Errorf("argument: is %q; allowed: none", fl.Arg(0))
	}
	if s.identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("--identity: is empty, and the hostname is unknown: %w; allowed: a name that differs between the replicas", err)
		}
		s.identity = host
	}
	return s, s.check()
}

func (s *settings) addTo(fl *pflag.FlagSet) {
	fl.StringVar(&s.coordinator, "coordinator", "127.0.0.1:7070", "`HOST:PORT` of the coordinator")
	fl.StringVar(&s.tls.CA, "tls-ca", "", "`FILE` with the roots of the coordinator's certificate (default: the system's)")
	fl.StringVar(&s.tls.Cert, "tls-cert", "", "`FILE` with our own certificate")
	fl.StringVar(&s.tls.Key, "tls-key", "", "`FILE` with its key, in the same folder")
	fl.StringVar(&s.tls.ServerName, "server-name", "", "`NAME` in the coordinator's certificate (default: HOST)")
	fl.BoolVar(&s.insecure, "insecure", false, "use plaintext to another machine")
	fl.StringVar(&s.kubeconfig, "kubeconfig", "", "`FILE` with the address of the API server (default: the cluster of this Pod)")
	fl.StringVar(&s.namespace, "namespace", "", "follow only objects of the namespace `NAME` (default: all)")
	fl.StringVar(&s.cluster, "cluster", "default", "`NAME` of the cluster; imported Pods have the source kube-NAME")
	fl.BoolVar(&s.entries, "workload-entries", false, "follow Istio's WorkloadEntries too")
	fl.StringVar(&s.newPods, "new-pods-when-blind", plan.True, "condition of new Pods after a minute without the coordinator: True or False")
	fl.BoolVar(&s.elect, "leader-elect", true, "write only while this replica holds the lease")
	fl.StringVar(&s.leaseNamespace, "lease-namespace", "meshhealth", "namespace `NAME` of the lease")
	fl.StringVar(&s.lease, "lease", "meshhealth-kube", "`NAME` of the lease")
	fl.StringVar(&s.identity, "identity", "", "`NAME` of this replica in the lease (default: the hostname)")
	fl.DurationVar(&s.leaseDuration, "lease-duration", 10*time.Second, "how long the other replicas wait for a leader that is silent")
	fl.StringVar(&s.http, "http", "127.0.0.1:7075", "`HOST:PORT` of /metrics and /healthz, or off")
	fl.StringVar(&s.logFormat, "log-format", "json", "json or text")
	fl.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
}

// badFlag says what is allowed for a flag whose value cannot be parsed.
func badFlag(err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		allowed := map[string]string{"bool": "true, false", "duration": "a duration such as 10s"}[e.GetFlag().Value.Type()]
		return fmt.Errorf("--%s: is %q; allowed: %s", e.GetFlag().Name, e.GetValue(), allowed)
	}
	return fmt.Errorf("flag: %w; allowed: the flags that --help lists", err)
}

func (s *settings) check() error {
	var errs []error
	fault := func(flag, value, allowed string) {
		errs = append(errs, fmt.Errorf("--%s: is %q; allowed: %s", flag, wire.CleanTo(value, 200), allowed))
	}
	if host, _, err := wire.SplitAddress(s.coordinator); err != nil || host == "" {
		fault("coordinator", s.coordinator, "HOST:PORT")
	}
	if s.insecure && s.tls != (config.TLS{}) {
		errs = append(errs, errors.New("--insecure: is given beside TLS flags; allowed: one of them"))
	}
	if err := s.tls.Check(); err != nil {
		errs = append(errs, fmt.Errorf("--tls-%w", err))
	}
	if err := wire.CheckSource("kube-" + s.cluster); err != nil || s.cluster == "" {
		fault("cluster", s.cluster, fmt.Sprintf("1 to %d of [A-Za-z0-9._-]", wire.MaxSource-len("kube-")))
	}
	if s.newPods != plan.True && s.newPods != plan.False {
		fault("new-pods-when-blind", s.newPods, "True, False")
	}
	if s.leaseDuration < 3*time.Second || s.leaseDuration > 5*time.Minute {
		fault("lease-duration", s.leaseDuration.String(), "3s to 5m")
	}
	for _, name := range []struct{ flag, value string }{{"lease-namespace", s.leaseNamespace}, {"lease", s.lease}, {"namespace", s.namespace}} {
		if !isName(name.value) && (name.flag != "namespace" || name.value != "") {
			fault(name.flag, name.value, "1 to 63 of [a-z0-9-]")
		}
	}
	if s.http != off && wire.CheckListen(s.http) != nil {
		fault("http", s.http, "HOST:PORT, "+off)
	}
	if s.logFormat != "json" && s.logFormat != "text" {
		fault("log-format", s.logFormat, "json, text")
	}
	if err := s.level.UnmarshalText([]byte(s.logLevel)); err != nil || strings.ContainsAny(s.logLevel, "+-") {
		fault("log-level", s.logLevel, "debug, info, warn, error")
	}
	return errors.Join(errs...)
}

// isName reports whether a text is a name as namespaces have it.
func isName(name string) bool {
	return len(name) > 0 && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && name[0] != '-' && name[len(name)-1] != '-'
}
