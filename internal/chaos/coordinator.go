package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// settings are those of a coordinator, where they are not the defaults.
type settings struct {
	policy  map[string]string // keys of the file's policy section
	patient time.Duration     // unreachable_after; 0: the default
	wrap    []string          // a command that runs it
}

func (s *settings) unreachableAfter() time.Duration {
	if s.patient == 0 {
		return health.DefaultUnreachableAfter
	}
	return s.patient
}

// file returns the configuration file.
func (s *settings) file(listen, http string) string {
	text := fmt.Sprintf("listen: %s\nhttp: %s\ndata_dir: data\n", listen, http)
	policy := maps.Clone(s.policy)
	if s.patient != 0 {
		policy = with(policy, "unreachable_after", s.patient.String())
	}
	if len(policy) > 0 {
		text += "policy:\n"
	}
	for _, key := range slices.Sorted(maps.Keys(policy)) {
		text += "  " + key + ": " + policy[key] + "\n"
	}
	return text
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// coordinator is a process that runs the coordinator command.
type coordinator struct {
	*process
	settings settings
	at, web  string // where it listens
	starts   int
}

// coordinate starts a coordinator on a data folder of its own.
func (r *rig) coordinate(s settings) error {
	r.coordinator = &coordinator{settings: s, at: "127.0.0.1:0", web: "127.0.0.1:0"}
	r.later(func() {
		if r.coordinator.process != nil {
			r.coordinator.kill()
		}
	})
	return r.restart()
}

// restart starts the coordinator, where it was if it was anywhere, and returns
// when it listens.
func (r *rig) restart() error {
	c := r.coordinator
	c.starts++
	config := filepath.Join(r.dir, "meshhealth.yaml")
	if err := os.WriteFile(config, []byte(c.settings.file(c.at, c.web)), 0o600); err != nil {
		return err
	}
	name := filepath.Join(r.dir, fmt.Sprintf("coordinator-%d.log", c.starts))
	log, err := logFile(name)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the child has its own
	cmd := r.cfg.Command(r.ctx, "coordinator", "--config", config)
	if len(c.settings.wrap) > 0 {
		cmd = wrapped(c.settings.wrap, cmd)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if c.process, err = launch(cmd); err != nil {
		return fmt.Errorf("the coordinator: %w", err)
	}
	return r.listening(name)
}

// wrapped runs a command by another.
func wrapped(wrap []string, cmd *exec.Cmd) *exec.Cmd {
	w := exec.Command(wrap[0], slices.Concat(wrap[1:], []string{cmd.Path}, cmd.Args[1:])...)
	w.Env = cmd.Env
	return w
}

// listening waits until a coordinator's log says where it listens.
func (r *rig) listening(log string) error {
	for late := time.Now().Add(patience); ; {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			var said struct{ Msg, GRPC, HTTP string }
			if json.Unmarshal(line, &said) == nil && said.Msg == "listening" {
				r.coordinator.at, r.coordinator.web = said.GRPC, said.HTTP
				return nil
			}
		}
		switch {
		case !r.coordinator.running():
			return fmt.Errorf("the coordinator: %w: %s", errEnded, lastLine(text))
		case time.Now().After(late):
			return errors.New("the coordinator does not listen")
		case !sleep(r.ctx, 10*time.Millisecond):
			return r.ctx.Err()
		}
	}
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// resident returns the coordinator's memory, also where another command runs it.
func (c *coordinator) resident() int {
	n := resident(c.pid())
	for _, child := range children(c.pid()) {
		n = max(n, resident(child))
	}
	return n
}
