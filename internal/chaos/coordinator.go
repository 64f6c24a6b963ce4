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

// settings has the settings of a coordinator that differ from the defaults.
type settings struct {
	policy      map[string]string // keys and values of the section policy of the configuration file
	unreachable time.Duration     // value of the setting unreachable_after; 0 means the default
	poll        time.Duration     // value of the setting poll_every; 0 means the default
	wrap        []string          // program, such as strace, and arguments to run the coordinator as its child; may be nil
}

func (s *settings) unreachableAfter() time.Duration {
	if s.unreachable == 0 {
		return health.DefaultUnreachableAfter
	}
	return s.unreachable
}

// file returns the text of the configuration file of a coordinator with these settings.
func (s *settings) file(listen, http string) string {
	text := fmt.Sprintf("listen: %s\nhttp: %s\ndata_dir: data\n", listen, http)
	if s.poll != 0 {
		text += "poll_every: " + s.poll.String() + "\n"
	}
	policy := maps.Clone(s.policy)
	if s.unreachable != 0 {
		policy = with(policy, "unreachable_after", s.unreachable.String())
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

// coordinator is a process that runs the command `meshhealth coordinator`.
type coordinator struct {
	*process
	settings settings
	at       string // HOST:PORT of the gRPC listener
	web      string // HOST:PORT of the HTTP listener
	socket   string // path of the unix socket
	starts   int    // number of times that the process was started
}

// startCoordinator starts a coordinator with a new data folder.
func (r *rig) startCoordinator(s settings) error {
	r.coordinator = &coordinator{settings: s, at: "127.0.0.1:0", web: "127.0.0.1:0"}
	r.onClose(func() {
		if r.coordinator.process != nil {
			r.coordinator.kill()
		}
	})
	if err := r.launchCoordinator(); err != nil {
		return err
	}
	r.progress("page http://%s/ui, grpc %s", r.coordinator.web, r.coordinator.at)
	return nil
}

// launchCoordinator starts the process of the coordinator, and returns when the coordinator
// listens. Later starts use the addresses and the data of the first start.
func (r *rig) launchCoordinator() error {
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
	defer log.Close() //nolint:errcheck // a failed Close has no effect on the child, which has its own descriptor
	cmd := r.cfg.Command(r.ctx, "coordinator", "--config", config)
	if len(c.settings.wrap) > 0 {
		cmd = wrapCommand(c.settings.wrap, cmd)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if c.process, err = startProcess(cmd); err != nil {
		return fmt.Errorf("the coordinator: %w", err)
	}
	return r.waitUntilListening(name)
}

// wrapCommand returns a command that runs the program in wrap, with cmd as its last
// arguments.
func wrapCommand(wrap []string, cmd *exec.Cmd) *exec.Cmd {
	w := exec.Command(wrap[0], slices.Concat(wrap[1:], []string{cmd.Path}, cmd.Args[1:])...)
	w.Env = cmd.Env
	return w
}

// waitUntilListening waits until the log of the coordinator contains its addresses.
func (r *rig) waitUntilListening(log string) error {
	for late := time.Now().Add(patience); ; {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			var said struct{ Msg, GRPC, HTTP, Socket string }
			if json.Unmarshal(line, &said) == nil && said.Msg == "listening" {
				r.coordinator.at, r.coordinator.web, r.coordinator.socket = said.GRPC, said.HTTP, said.Socket
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

// residentBytes returns the resident memory of the coordinator in bytes. If another program
// runs the coordinator as its child, the result is the larger memory of the two processes.
func (c *coordinator) residentBytes() int {
	n := residentBytes(c.pid())
	for _, child := range children(c.pid()) {
		n = max(n, residentBytes(child))
	}
	return n
}
