package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/internal/logs"
)

func coordinatorCommand(a *app) *cobra.Command {
	var f coordinatorFlags
	cmd := &cobra.Command{
		Use:   "coordinator",
		Short: "Run a coordinator",
		Long: `Run a coordinator until SIGINT or SIGTERM. A second signal ends it at once.

It stores its data in ./` + config.DefaultDataDir + ` unless a flag or the file says
otherwise. It listens on loopback without TLS. There everybody may read and
register. Overrides need its unix socket, which the command finds by itself. To
listen on other addresses it requires TLS and an access policy.

Flags override the configuration file. The coordinator reads certificates and the access
policy again when their files change, and on SIGHUP. On SIGHUP it reads the file again and applies its
services, their rules and their dependencies. If the file has a fault, nothing
changes. A file that lists no service any more is refused, unless it says
services: []. Logs go to stderr.`,
		Example: `  meshhealth coordinator
  meshhealth coordinator --config meshhealth.yaml
  meshhealth coordinator --config meshhealth.yaml --check-config`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCoordinator(a, cmd, &f) },
	}
	cmd.AddCommand(stateCommand(a))
	f.addTo(cmd.Flags())
	return cmd
}

func runCoordinator(a *app, cmd *cobra.Command, f *coordinatorFlags) error {
	ctx := cmd.Context()
	s, err := f.settings(ctx, cmd)
	if err != nil {
		return a.allowSignal(ctx, err)
	}
	if f.check {
		_, err := fmt.Fprintf(a.stdout, "%s: ok\n", cmp.Or(f.config, "flags"))
		return err
	}
	log, err := newLogger(a.stderr, cmp.Or(s.Log.Format, config.DefaultLogFormat), cmp.Or(s.Log.Level, config.DefaultLogLevel))
	if err != nil {
		return err
	}
	queued := logs.New(log)
	defer queued.Flush(logs.FlushTime)
	h := &hangups{log: queued.Logger}
	if f.config != "" {
		h.reloader = &config.Reloader{File: f.config, Running: s, Change: func(s *config.Settings) error { return f.change(cmd, s) }}
	}
	return a.allowSignal(ctx, a.coordinate(ctx, s, h))
}

// coordinate runs a coordinator with the settings s until ctx ends.
func (a *app) coordinate(ctx context.Context, s *config.Settings, h *hangups) error {
	cfg, closeFiles, err := s.Open(ctx, h.log)
	if err != nil {
		return err
	}
	defer closeFiles()
	cfg.Build = buildVersion()
	h.certificates = cfg.Certificates
	c, err := newCoordinator(ctx, cfg)
	if err != nil {
		return err
	}
	if h.reloader != nil {
		h.reloader.Coordinator = c
	}
	if cfg.Access != nil {
		h.access = config.NewAccessReloader(s.AccessPolicy, cfg.Access, c, h.log)
	}
	defer h.handle(ctx, a.hangups)()
	a.announce(h.log, s, &cfg, c)
	if err := c.Run(ctx); err != nil {
		return err
	}
	h.log.Info("stopped")
	return nil
}

func newCoordinator(ctx context.Context, cfg coordinator.Config) (*coordinator.Coordinator, error) {
	c, err := coordinator.New(ctx, cfg)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hinted("Another coordinator may be running. Choose another --listen or --http; port 0 means any.", "%w", err)
	}
	return c, err
}

// announce logs the addresses at which the coordinator listens. It logs a warning for each setting
// that loses data at a restart, allows everything to everybody, or lets nobody register.
func (a *app) announce(log *slog.Logger, s *config.Settings, cfg *coordinator.Config, c *coordinator.Coordinator) {
	grpcAt, httpAt := c.Addr().String(), coordinator.Off
	if at := c.HTTPAddr(); at != nil {
		httpAt = at.String()
	}
	log.Info("listening", "grpc", grpcAt, "http", httpAt, "data_dir", cmp.Or(cfg.DataDir, coordinator.Off),
		"tls", cfg.Credentials != nil, "socket", cmp.Or(c.Socket(), coordinator.Off),
		"access_policy", cmp.Or(s.AccessPolicy, "none"), "posture", postureOf(cfg), "build", cfg.Build)
	if s.InMemory() {
		log.Warn("nothing is kept on disk: a restart loses everything")
	}
	if a.listening != nil {
		a.listening(grpcAt, httpAt)
	}
}

// postureOf returns the name of what everybody may do at a coordinator.
func postureOf(cfg *coordinator.Config) string {
	switch {
	case cfg.Access != nil:
		return "policy"
	case cfg.InsecureOpen:
		return "insecure-open"
	}
	return "open-local"
}

// hangups reads files again after a SIGHUP, and logs the result.
type hangups struct {
	reloader     *config.Reloader       // nil if there is no configuration file
	access       *config.AccessReloader // nil if there is no access policy; it also reads the file when it changes
	certificates []coordinator.Certificate
	log          *slog.Logger
}

// handle starts a goroutine that reloads the configuration after each signal, and one that looks at the access
// policy. The returned function ends the goroutines, and waits for a reload in progress.
func (h *hangups) handle(ctx context.Context, signals <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if h.access != nil {
		wg.Go(func() { h.access.Run(ctx) })
	}
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				h.reload(ctx)
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func (h *hangups) reload(ctx context.Context) {
	h.reloadCertificates()
	if h.access != nil && h.access.Reload(ctx) == nil { // it has logged its error
		h.log.Info("SIGHUP: the access policy in the file is in use", "file", h.access.File)
	}
	if h.reloader == nil && (len(h.certificates) > 0 || h.access != nil) {
		return
	}
	if h.reloader == nil {
		h.log.Warn("SIGHUP: there is no configuration file to read again, and nothing changes; start with --config FILE to change it")
		return
	}
	restart, err := h.reloader.Reload(ctx)
	if err != nil {
		h.log.Error("the configuration was not read again; the previous one stays in use", "error", err)
		return
	}
	running := &h.reloader.Running.Coordinator
	h.log.Info("the configuration was read again", "services", len(running.Policy.Services), "targets", len(running.Static))
	if len(restart) > 0 {
		h.log.Warn("changes in these sections need a restart", "sections", strings.Join(restart, ", "))
	}
}

// reloadCertificates reads the files of all certificates at once.
func (h *hangups) reloadCertificates() {
	read := map[*certs.Source]bool{}
	for _, c := range h.certificates {
		if read[c.Source] {
			continue
		}
		read[c.Source] = true
		if err := c.Source.Reload(); err != nil {
			h.log.Error("certificate files cannot be used; the previous ones stay in use", "section", c.Section, "error", err)
			continue
		}
		h.log.Info("the certificates were read again", "section", c.Section, "expires", c.Source.Status().Expires)
	}
}
