package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/coordinator"
)

// coordinatorFlags are those of the coordinator command. Empty means not given.
type coordinatorFlags struct {
	config, listen, http       string
	dataDir                    string
	memory, check, insecure    bool
	tlsCert, tlsKey, tlsClient string
	logFormat, logLevel        string
}

func (a *app) coordinatorCommand() *cobra.Command {
	var f coordinatorFlags
	cmd := &cobra.Command{
		Use:   "coordinator",
		Short: "Run a coordinator",
		Long: `Run a coordinator until SIGINT or SIGTERM; a second one ends it at once.

It keeps what it knows in ./` + defaultDataDir + ` unless told otherwise, and
listens on loopback. Beyond it, it wants TLS. Whoever registers then shows a
client certificate that --tls-client-ca vouches for.

Flags go before what the file says. Certificates are read again when their files
change; on SIGHUP the file's services, their rules and what they depend on are,
unless something is wrong with the file. Logs go to stderr.`,
		Example: `  meshhealth coordinator
  meshhealth coordinator --config meshhealth.yaml
  meshhealth coordinator --config meshhealth.yaml --check-config`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runCoordinator(cmd, &f) },
	}
	cmd.AddCommand(a.stateCommand())
	fl := cmd.Flags()
	fl.StringVar(&f.config, "config", "", "read this YAML `FILE`")
	fl.BoolVar(&f.check, "check-config", false, "only check the configuration: exit 0 if it is sound, else 3")
	fl.StringVar(&f.listen, "listen", "", "gRPC `HOST:PORT` (default "+coordinator.DefaultListen+")")
	fl.StringVar(&f.http, "http", "", "`HOST:PORT` of /metrics, /livez, /readyz, or off (default "+coordinator.DefaultHTTP+")")
	fl.StringVar(&f.dataDir, "data-dir", "", "keep registrations, statuses and history in this `DIR` (default "+defaultDataDir+")")
	fl.BoolVar(&f.memory, "memory", false, "keep nothing on disk: a restart forgets everything")
	fl.StringVar(&f.tlsCert, "tls-cert", "", "certificate `FILE` (PEM) to listen with")
	fl.StringVar(&f.tlsKey, "tls-key", "", "its key `FILE`, in the same folder")
	fl.StringVar(&f.tlsClient, "tls-client-ca", "", "`FILE` with the roots of callers' certificates")
	fl.BoolVar(&f.insecure, "insecure", false, "allow plaintext beyond loopback, for everybody to register and override")
	fl.StringVar(&f.logFormat, "log-format", "", strings.Join(logFormats, " or ")+" (default "+defaultLogFormat+")")
	fl.StringVar(&f.logLevel, "log-level", "", strings.Join(logLevels, ", ")+" (default "+defaultLogLevel+")")
	return cmd
}

func (a *app) runCoordinator(cmd *cobra.Command, f *coordinatorFlags) error {
	s, err := f.settings(cmd)
	if err != nil {
		return err
	}
	if f.check {
		_, err := fmt.Fprintf(a.stdout, "%s: ok\n", or(f.config, "flags"))
		return err
	}
	log, err := newLogger(a.stderr, or(s.log.format, defaultLogFormat), or(s.log.level, defaultLogLevel))
	if err != nil {
		return err
	}
	var reread func() (*settings, error)
	if f.config != "" {
		reread = func() (*settings, error) { return f.settings(cmd) }
	}
	return a.coordinate(cmd.Context(), s, log, reread)
}

// settings returns what the file and the flags say together.
func (f *coordinatorFlags) settings(cmd *cobra.Command) (*settings, error) {
	if f.memory && f.dataDir != "" {
		return nil, usage(cmd, "--data-dir is given beside --memory; allowed: one of them")
	}
	s := &settings{}
	if f.config != "" {
		var err error
		if s, err = readConfig(f.config); err != nil {
			return nil, err
		}
	}
	f.override(s)
	if err := f.wrong(cmd, s); err != nil {
		return nil, err
	}
	return s, s.validate()
}

// override puts the flags over the file.
func (f *coordinatorFlags) override(s *settings) {
	over(f.listen, &s.listen)
	over(f.http, &s.http)
	over(f.dataDir, &s.dataDir)
	over(f.logFormat, &s.log.format)
	over(f.logLevel, &s.log.level)
	s.insecure = s.insecure || f.insecure
	if f.memory {
		s.dataDir = off
	}
	if f.tlsCert == "" && f.tlsKey == "" && f.tlsClient == "" {
		return
	}
	if s.tls == nil {
		s.tls = &tlsSetting{}
	}
	over(f.tlsCert, &s.tls.Cert)
	over(f.tlsKey, &s.tls.Key)
	over(f.tlsClient, &s.tls.CA)
}

// coordinate runs a coordinator until ctx ends. Where there is a file, reread
// reads it again.
func (a *app) coordinate(ctx context.Context, s *settings, log *slog.Logger, reread func() (*settings, error)) error {
	cfg := s.config()
	cfg.Logger = log
	closers, err := s.credentials(&cfg)
	defer func() {
		for _, c := range closers {
			c.close()
		}
	}()
	if err != nil {
		return err
	}
	c, err := newCoordinator(ctx, cfg)
	if err != nil {
		return err
	}
	if reread != nil {
		defer (&rereading{reread, s, c, log}).listen(ctx)()
	}
	a.announce(log, s, &cfg, c)
	if err := c.Run(ctx); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

func newCoordinator(ctx context.Context, cfg coordinator.Config) (*coordinator.Coordinator, error) {
	c, err := coordinator.New(ctx, cfg)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hinted("Another coordinator may be running. Choose another --listen or --http; port 0 means any.", "%w", err)
	}
	return c, err
}

// announce says where it listens and what one may not expect.
func (a *app) announce(log *slog.Logger, s *settings, cfg *coordinator.Config, c *coordinator.Coordinator) {
	grpcAt, httpAt := c.Addr().String(), off
	if at := c.HTTPAddr(); at != nil {
		httpAt = at.String()
	}
	log.Info("listening", "grpc", grpcAt, "http", httpAt, "data_dir", or(cfg.DataDir, off),
		"tls", cfg.Credentials != nil, "build", cfg.Build)
	if s.memory() {
		log.Warn("nothing is kept on disk: a restart forgets everything")
	}
	if cfg.Insecure && !onLoopback(c.Addr()) {
		log.Warn("insecure: whoever reaches this address can register, override and read")
	}
	if s.tls != nil && s.tls.CA == "" {
		log.Warn("no client CA: nobody can register, override or read the history")
	}
	if a.listening != nil {
		a.listening(grpcAt, httpAt)
	}
}

func onLoopback(at net.Addr) bool {
	tcp, ok := at.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}
