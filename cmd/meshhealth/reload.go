package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"sync"
	"syscall"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
)

// rereading reads the configuration again whenever SIGHUP comes. What is wrong
// with it is told, and then nothing changes.
type rereading struct {
	read    func() (*settings, error)
	running *settings
	c       *coordinator.Coordinator
	log     *slog.Logger
}

// listen reads again until the returned function is called.
func (r *rereading) listen(ctx context.Context) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				r.again(ctx)
			}
		}
	})
	return func() {
		signal.Stop(signals)
		cancel()
		wg.Wait()
	}
}

func (r *rereading) again(ctx context.Context) {
	s, err := r.read()
	if err == nil {
		err = r.c.Reload(ctx, s.targets, s.policy.Services)
	}
	if err != nil {
		r.log.Error("the configuration was not read again; what was read before holds", "error", err)
		return
	}
	r.running.targets, r.running.policy.Services = s.targets, s.policy.Services
	r.log.Info("the configuration was read again", "services", len(s.policy.Services), "targets", len(s.targets))
	if others := r.running.differences(s); len(others) > 0 {
		r.log.Warn("these need a restart", "sections", strings.Join(others, ", "))
	}
}

// differences names the sections of the file that differ from s, but for those
// that may.
func (r *settings) differences(s *settings) []string {
	was, is := r.policy, s.policy
	was.Services, is.Services = map[string]health.ServicePolicy{}, map[string]health.ServicePolicy{}
	var names []string
	for _, section := range []struct {
		name    string
		was, is any
	}{
		{"listen", r.listen, s.listen},
		{"http", r.http, s.http},
		{"data_dir", r.dataDir, s.dataDir},
		{"insecure", r.insecure, s.insecure},
		{"tls", r.tls.bare(), s.tls.bare()},
		{"dial", r.dial.bare(), s.dial.bare()},
		{"targets", r.allow, s.allow},
		{"policy", was, is},
		{"store_trust", r.storeTrust, s.storeTrust},
		{"poll_every", r.pollEvery, s.pollEvery},
		{"retry", r.retry, s.retry},
		{"limits", r.limits, s.limits},
		{"metrics", r.metrics, s.metrics},
		{"log", r.log, s.log},
	} {
		if !reflect.DeepEqual(section.was, section.is) {
			names = append(names, section.name)
		}
	}
	return names
}

// bare is what a tls section says, wherever it stands.
func (t *tlsSetting) bare() tlsFiles {
	if t == nil {
		return tlsFiles{}
	}
	return t.tlsFiles
}

func (d dialSettings) bare() map[string]tlsFiles {
	all := map[string]tlsFiles{"": d.standard.bare()}
	for name, t := range d.services {
		all[name] = t.bare()
	}
	return all
}
