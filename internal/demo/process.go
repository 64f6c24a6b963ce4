package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/health/feed"
)

// instance keeps one instance running, either in this process or in a child process. A
// child that ended is started again on request.
type instance struct {
	Instance
	// child returns the command of the child process. Nil means that the instance runs
	// in this process.
	child func(ctx context.Context, i Instance) *exec.Cmd
	feed  atomic.Pointer[feed.Feed] // nil in a child process

	mu      sync.Mutex
	process *os.Process
	stdin   io.Closer
	frozen  bool
	// restarts requests that the child is started again. It has room for one request.
	// Only run reads it, while the child does not run.
	restarts chan struct{}
}

// run runs the instance until ctx ends.
func (i *instance) run(ctx context.Context) error {
	if i.child == nil {
		return i.serve(ctx, func(f *feed.Feed) { i.feed.Store(f) })
	}
	for ctx.Err() == nil {
		if err := i.runChild(ctx); err != nil {
			return fmt.Errorf("%s/%s: %w", i.Service, i.Name, err)
		}
		select {
		case <-i.restarts:
		case <-ctx.Done():
		}
	}
	return nil
}

// runChild runs the child process until it ends.
func (i *instance) runChild(ctx context.Context) error {
	cmd := i.child(context.WithoutCancel(ctx), i.Instance)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	i.mu.Lock()
	i.process, i.stdin, i.frozen = cmd.Process, stdin, false
	i.mu.Unlock()
	ended := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() { i.stopAfter(ctx, ended) })
	err = cmd.Wait()
	close(ended)
	waiting.Wait()
	if _, killed := errors.AsType[*exec.ExitError](err); killed {
		return nil // a step of the demo has killed the process
	}
	return err
}

// stopAfter stops the child when ctx ends. It asks the child to drain first, and kills
// it if it does not end in time.
func (i *instance) stopAfter(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	_ = i.thaw()
	_ = i.drain()
	timer := time.NewTimer(leaveTime + time.Second)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		_ = i.kill()
	}
}

// drain asks the child to drain, by closing its stdin.
func (i *instance) drain() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stdin != nil {
		_ = i.stdin.Close()
	}
	return nil
}

// kill ends the child without draining.
func (i *instance) kill() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process != nil {
		_ = i.process.Kill() // the process may have ended already
	}
	return nil
}

// restart requests that the child is started again when it has ended.
func (i *instance) restart() error {
	select {
	case i.restarts <- struct{}{}:
	default: // a request is pending
	}
	return nil
}

// freeze suspends the child.
func (i *instance) freeze() error { return i.setFrozen(true) }

// thaw resumes the child.
func (i *instance) thaw() error { return i.setFrozen(false) }

func (i *instance) setFrozen(frozen bool) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.frozen == frozen || i.process == nil {
		return nil
	}
	i.frozen = frozen
	return signalFreeze(i.process, frozen)
}
