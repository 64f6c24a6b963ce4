package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/meshhealth/meshhealth/coordinator"
)

// childEnv is an environment variable. If its value is a key of the map kinds, this process runs
// only the function kinds[key], and no benchmark.
const childEnv = "MESHHEALTH_BENCH_CHILD"

// kinds has the functions that a child process can run, by name. Each function prints one line when
// it is ready: a server prints its address. It runs until its context ends.
var kinds = map[string]func(ctx context.Context) error{
	"coordinator":            serveCoordinator,
	"pages":                  servePages,
	"stock":                  serveStock,
	"attacked":               serveAttacked,
	"stock with 128 streams": serveStock128,
	"polling coordinator":    servePolling,
	"polled":                 servePolled,
	"bare list":              listBare,
	"stock everywhere":       serveStockEverywhere,
	"bare watcher":           watchBare,
	"server":                 func(ctx context.Context) error { return serveOurs(ctx, false) },
	"server with options":    func(ctx context.Context) error { return serveOurs(ctx, true) },
	"xds":                    func(ctx context.Context) error { return serveXDS(ctx, newOurXDS) },
	"LinearCache":            func(ctx context.Context) error { return serveXDS(ctx, newLinearXDS) },
}

func child(kind string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	serve := kinds[kind]
	if serve == nil {
		return fmt.Errorf("%s: %q is no kind of child", childEnv, kind)
	}
	return serve(ctx)
}

func serveCoordinator(ctx context.Context) error {
	c, err := coordinator.New(ctx, coordinator.Config{Listen: "127.0.0.1:0", HTTP: coordinator.Off, TargetBudget: coordinator.Off, Policy: undamped})
	if err != nil {
		return err
	}
	fmt.Println(c.Addr())
	return c.Run(ctx)
}

// process is a server in a child process, so that its CPU time and memory can be measured
// alone.
type process struct {
	cmd *exec.Cmd
	at  string // the first line that the child printed: the addresses of its listeners, separated by spaces
}

// process starts a child process that runs kinds[kind], with the arguments args.
func (r *rig) process(kind string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command("/proc/self/exe", args...)}
	p.cmd.Env = append(os.Environ(), childEnv+"="+kind)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	p.at = strings.TrimSpace(line)
	return p, err
}

// cpu returns the CPU time that the process has used so far: the sum of all its threads, in
// nanoseconds.
func (p *process) cpu() (time.Duration, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid))
	var sum time.Duration
	for _, t := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", p.cmd.Process.Pid, t.Name()))
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, err
}

// rss returns the resident memory of the process in bytes.
func (p *process) rss() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in %s", b)
}
