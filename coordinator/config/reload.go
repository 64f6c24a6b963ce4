package config

import (
	"context"
	"fmt"
	"os"

	"github.com/meshhealth/meshhealth/coordinator"
)

// Reloader reads a changed configuration file. It applies the sections services and
// policy.services of the file to a running coordinator.
type Reloader struct {
	// File is the name of the configuration file.
	File string
	// Running holds the current settings of the coordinator. Reload updates the targets and
	// the service policies in it.
	Running *Settings
	// Coordinator is the coordinator to change.
	Coordinator *coordinator.Coordinator
	// Change is called with the settings that were read from the file, before Reload uses them.
	// Change may modify the settings, for example because command-line flags take precedence. nil
	// means no call.
	Change func(*Settings) error
}

// Reload reads the file and applies it. If the file has a fault, Reload returns an error and
// changes nothing. restart lists the sections that differ from Running and take effect only after a
// restart.
//
// If Running has targets, a file without targets is an error, unless the file says `services: []`.
// A file without targets may be incomplete, because editors and deploy tools truncate a file before
// they write it. A file that is not regular, such as a pipe, is also an error.
func (r *Reloader) Reload(ctx context.Context) (restart []string, err error) {
	s, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	running, is := &r.Running.Coordinator, &s.Coordinator
	if n := len(running.Static); n > 0 && len(is.Static) == 0 && !s.NoTargets {
		return nil, fmt.Errorf("services: is missing or empty, which would remove %s; allowed: a list, or services: [] to remove all", countTargets(n))
	}
	if err := r.Coordinator.Reload(ctx, is.Static, is.Policy.Services); err != nil {
		return nil, err
	}
	running.Static, running.Policy.Services = is.Static, is.Policy.Services
	return r.Running.Differences(s), nil
}

func (r *Reloader) load(ctx context.Context) (*Settings, error) {
	info, err := os.Stat(r.File)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is no regular file, and its content was read at the start; allowed: a file", r.File)
	}
	s, err := Load(ctx, r.File)
	if err != nil || r.Change == nil {
		return s, err
	}
	return s, r.Change(s)
}

func countTargets(n int) string {
	if n == 1 {
		return "1 target"
	}
	return fmt.Sprintf("%d targets", n)
}
