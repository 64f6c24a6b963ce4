package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// listedEnv is an environment variable. It has the address of the coordinator whose entries the
// child process "bare list" prints.
const listedEnv = "MESHHEALTH_BENCH_LISTED"

// benchStatusCommand measures `meshhealth status` against a coordinator with 10,000
// instances, from the start of the process to its end. The peer is a process that lists the
// same entries with a bare gRPC client, and prints the name and the status of each.
func benchStatusCommand(ctx context.Context, o *options, r *report) error {
	rig := newRig(ctx)
	defer rig.close()
	command, err := rig.command()
	if err != nil {
		return err
	}
	p, err := rig.process("coordinator")
	if err != nil {
		return err
	}
	n := o.size(10_000, 100)
	if _, err := rig.fleet(p.at, n, 500); err != nil {
		return err
	}
	all, err := rig.watchAll(p.at)
	if err != nil {
		return err
	}
	if err := rig.waitForAll([]*allWatcher{all}, 1, n); err != nil {
		return err
	}
	for _, args := range [][]string{{"status"}, {"status", "--all"}} {
		if err := rig.statusRounds(o, r, p, n, append([]string{command}, args...)); err != nil {
			return err
		}
	}
	return nil
}

// command builds the command `meshhealth` and returns its path.
func (r *rig) command() (path string, err error) {
	dir, err := os.MkdirTemp("", "meshhealth-bench-")
	if err != nil {
		return "", err
	}
	r.undo = append(r.undo, func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "meshhealth")
	out, err := exec.CommandContext(r.ctx, "go", "build", "-C", "..", "-trimpath", "-o", path, "./cmd/meshhealth").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}

// statusRounds runs the command and the peer in turn against the coordinator p, which has n
// instances.
func (r *rig) statusRounds(o *options, rep *report, p *process, n int, command []string) error {
	var ours, oursCPU, served times
	var ratios []float64
	for range o.rounds {
		before, err := p.cpu()
		if err != nil {
			return err
		}
		mine, cpu, err := r.timed(exec.CommandContext(r.ctx, command[0], append(command[1:], "--coordinator", p.at)...))
		if err != nil {
			return err
		}
		after, err := p.cpu()
		if err != nil {
			return err
		}
		bare := exec.CommandContext(r.ctx, "/proc/self/exe")
		bare.Env = append(os.Environ(), childEnv+"=bare list", listedEnv+"="+p.at)
		theirs, _, err := r.timed(bare)
		if err != nil {
			return err
		}
		ours, oursCPU, served = append(ours, mine), append(oursCPU, cpu), append(served, after-before)
		ratios = append(ratios, over(mine, theirs))
	}
	mid := ours.quantile(0.5)
	what := fmt.Sprintf("meshhealth %s of %d instances, whole command", command[1:], n)
	rep.figure(what, fmt.Sprintf("%v", mid.Round(time.Millisecond)), "≤ 150 ms", mid <= 150*time.Millisecond)
	rep.figure("… its CPU, the coordinator's CPU", fmt.Sprintf("%v, %v", oursCPU.quantile(0.5).Round(time.Millisecond), served.quantile(0.5).Round(time.Millisecond)), "", true)
	rep.ratio("… to a process that lists with a bare gRPC client", ratios, 1.5)
	return nil
}

// timed runs a command to its end. The output of the command goes into a pipe, as in a shell. timed
// returns how long the command ran, and the CPU time of its process.
func (r *rig) timed(cmd *exec.Cmd) (took, cpu time.Duration, err error) {
	var out counter
	cmd.Stdout = &out
	began := time.Now()
	err = cmd.Run()
	took = time.Since(began)
	if err == nil && out == 0 {
		err = errors.New("it printed nothing")
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", cmd, err)
	}
	return took, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// counter counts the bytes that are written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// listBare is the peer to which `meshhealth status` is compared. It prints all entries of a
// coordinator.
func listBare(ctx context.Context) error {
	rig := newRig(ctx)
	defer rig.close()
	conn, err := rig.dial(os.Getenv(listedEnv))
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	req := &pb.ListRequest{PageSize: wire.MaxPage}
	for {
		page, err := pb.NewHealthServiceClient(conn).List(ctx, req)
		if err != nil {
			return err
		}
		for _, e := range page.GetEntries() {
			fmt.Fprintln(out, e.GetService(), e.GetInstance(), e.GetStatus())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return out.Flush()
		}
	}
}
