package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// coordinatorFlags are the flags of the command coordinator. An empty string means that the flag was
// not given.
type coordinatorFlags struct {
	config, listen, http       string
	dataDir                    string
	memory, check, open        bool
	accessPolicy, socket       string
	tlsCert, tlsKey, tlsClient string
	logFormat, logLevel        string
	httpHosts                  []string
	webPrefix                  string
}

func (f *coordinatorFlags) addTo(fl *pflag.FlagSet) {
	fl.StringVar(&f.config, "config", "", "read this YAML `FILE`")
	fl.BoolVar(&f.check, "check-config", false, "only check the configuration: exit with 0 if it has no fault, else with 3")
	fl.StringVar(&f.listen, "listen", "", "gRPC `HOST:PORT` (default "+coordinator.DefaultListen+")")
	fl.StringVar(&f.http, "http", "", "`HOST:PORT` of the page /ui/ and of /metrics, /livez, /readyz, or off (default "+coordinator.DefaultHTTP+")")
	fl.StringSliceVar(&f.httpHosts, "http-hosts", nil, "`NAMES` under which the page may be opened, beside localhost and IP addresses")
	fl.StringVar(&f.webPrefix, "web-prefix", "", "`PATH` below which a proxy shows the page")
	fl.StringVar(&f.dataDir, "data-dir", "", "keep registrations, statuses and history in this `DIR` (default "+config.DefaultDataDir+")")
	fl.BoolVar(&f.memory, "memory", false, "keep nothing on disk: a restart loses everything")
	fl.StringVar(&f.tlsCert, "tls-cert", "", "certificate `FILE` (PEM) to listen with")
	fl.StringVar(&f.tlsKey, "tls-key", "", "`FILE` with its key, in the same folder")
	fl.StringVar(&f.tlsClient, "tls-client-ca", "", "`FILE` with the roots of callers' certificates")
	fl.StringVar(&f.accessPolicy, "access-policy", "", "`FILE` that says who may do what")
	fl.StringVar(&f.socket, "socket", "", "`PATH` of the unix socket for administration, or off (default "+coordinator.SocketName+" in the folder of the data)")
	fl.BoolVar(&f.open, "insecure-open", false, "let everybody do everything, in plaintext, also beyond loopback")
	fl.StringVar(&f.logFormat, "log-format", "", strings.Join(config.LogFormats(), " or ")+" (default "+config.DefaultLogFormat+")")
	fl.StringVar(&f.logLevel, "log-level", "", strings.Join(config.LogLevels(), ", ")+" (default "+config.DefaultLogLevel+")")
}

// settings returns the settings from the configuration file, if there is one. Flags that are given
// replace settings from the file.
func (f *coordinatorFlags) settings(ctx context.Context, cmd *cobra.Command) (*config.Settings, error) {
	if f.memory && f.dataDir != "" {
		return nil, usage(cmd, "--data-dir is given beside --memory; allowed: one of them")
	}
	if cmd.Flags().Changed("config") && f.config == "" {
		return nil, usage(cmd, "--config: is empty; allowed: a FILE")
	}
	s := &config.Settings{}
	if f.config != "" {
		var err error
		if s, err = config.Load(ctx, f.config); err != nil {
			return nil, configError(err)
		}
	}
	return s, f.change(cmd, s)
}

// configError adds the flag name --config to err if the file could not be read. An error about the
// content of the file already names the file.
func configError(err error) error {
	if config.IsFault(err) {
		return err
	}
	return fmt.Errorf("--config: %w", err)
}

// change replaces settings from the configuration file by the given flags, and checks the result.
func (f *coordinatorFlags) change(cmd *cobra.Command, s *config.Settings) error {
	f.apply(s)
	if err := f.faults(cmd, s); err != nil {
		return err
	}
	if err := f.checkListeners(s); err != nil || f.accessPolicy == "" {
		return err
	}
	_, err := config.LoadAccessPolicy(cmd.Context(), f.accessPolicy)
	if err != nil && !config.IsFault(err) {
		return fmt.Errorf("--access-policy: %w", err)
	}
	return err
}

// checkListeners checks the settings. An error about TLS or plaintext gets a hint for the user.
func (f *coordinatorFlags) checkListeners(s *config.Settings) error {
	switch err := f.named(s.Check()); {
	case errors.Is(err, config.ErrInsecure):
		return hinted("Leave out --insecure-open.", "%w", err)
	case errors.Is(err, config.ErrNoAccessPolicy):
		return hinted("Give access_policy (--access-policy); `meshhealth policy` helps to write it. Or give --insecure-open where the network keeps others out.", "%w", err)
	case errors.Is(err, config.ErrNoHTTPTLS):
		return hinted("Give tls (--tls-cert, --tls-key, --tls-client-ca).", "%w", err)
	case errors.Is(err, config.ErrPlaintext):
		return hinted("Give tls (--tls-cert, --tls-key, --tls-client-ca), and access_policy (--access-policy). Or give --insecure-open where the network keeps others out.", "%w", err)
	default:
		return err
	}
}

// named adds to an error about a setting where the setting is: in a flag or in the file.
func (f *coordinatorFlags) named(err error) error {
	e, ok := errors.AsType[*fields.Error](err)
	switch {
	case !ok:
		return err
	case map[string]string{"listen": f.listen, "http": f.http}[e.Field] != "":
		return fmt.Errorf("--%w", err)
	}
	return fmt.Errorf("%s: %w", f.config, err)
}

func (f *coordinatorFlags) apply(s *config.Settings) {
	replace(&s.Coordinator.Listen, f.listen)
	replace(&s.Coordinator.HTTP, f.http)
	replace(&s.Coordinator.WebPrefix, f.webPrefix)
	if len(f.httpHosts) > 0 {
		s.Coordinator.HTTPHosts = f.httpHosts
	}
	replace(&s.Coordinator.DataDir, f.dataDir)
	replace(&s.Log.Format, f.logFormat)
	replace(&s.Log.Level, f.logLevel)
	replace(&s.AccessPolicy, f.accessPolicy)
	replace(&s.Coordinator.Socket, f.socket)
	s.Coordinator.InsecureOpen = s.Coordinator.InsecureOpen || f.open
	if f.memory {
		s.Coordinator.DataDir = coordinator.Off
	}
	if !f.hasTLS() {
		return
	}
	if s.TLS == nil {
		s.TLS = &config.TLS{}
	}
	replace(&s.TLS.Cert, f.tlsCert)
	replace(&s.TLS.Key, f.tlsKey)
	replace(&s.TLS.CA, f.tlsClient)
}

func (f *coordinatorFlags) hasTLS() bool {
	return f.tlsCert != "" || f.tlsKey != "" || f.tlsClient != ""
}

// replace sets the setting dst to flag, the value of a flag. It does nothing if the value is empty,
// because then the flag was not given.
func replace(dst *string, flag string) {
	if flag != "" {
		*dst = flag
	}
}

// faults returns an error with one line for each fault of a flag. The settings of the file were
// already checked when the file was read.
func (f *coordinatorFlags) faults(cmd *cobra.Command, s *config.Settings) error {
	var errs fields.Errors
	errs.Add("--listen", ifGiven(f.listen, wire.CheckListen))
	errs.Add("--http", ifGiven(f.http, config.CheckHTTP))
	errs.Add("--http-hosts", wire.CheckHTTPHosts(f.httpHosts))
	errs.Add("--web-prefix", ifGiven(f.webPrefix, wire.CheckWebPrefix))
	errs.Add("--access-policy", ifGiven(f.accessPolicy, input.CheckPath))
	errs.Add("--socket", ifGiven(f.socket, input.CheckPath))
	errs.Add("--log-format", ifGiven(f.logFormat, oneOf(config.LogFormats())))
	errs.Add("--log-level", ifGiven(f.logLevel, oneOf(config.LogLevels())))
	if f.dataDir == coordinator.Off {
		errs.Addf("--data-dir", `"off" is no folder; allowed: a folder, or --memory instead`)
	}
	errs.Add("--data-dir", ifGiven(f.dataDir, config.CheckDataDir))
	if f.hasTLS() {
		f.addTLSFaults(&errs, s.TLS)
	}
	return usageAll(cmd, errs.Join())
}

func (f *coordinatorFlags) addTLSFaults(errs *fields.Errors, t *config.TLS) {
	if t.Cert == "" && t.Key == "" {
		errs.Addf("--tls-client-ca", "is given without --tls-cert and --tls-key")
		return
	}
	flag := map[string]string{"ca": "--tls-client-ca", "cert": "--tls-cert", "key": "--tls-key"}
	for _, one := range fields.Flatten(t.Check()) {
		if e, ok := errors.AsType[*fields.Error](one); ok {
			errs.Add(flag[e.Field], e.Err)
		}
	}
}
