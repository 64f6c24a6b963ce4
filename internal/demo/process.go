package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/health/feed"
)

// instance runs one instance, either in this process or in a child process. If the child
// process has ended, the method restart starts it again.
type instance struct {
	Instance
	// child returns the command of the child process. nil means that the instance runs in
	// this process.
	child func(ctx context.Context, i Instance) *exec.Cmd
	// listener is the listener of an instance in this process, and via is the HOST:PORT at which
	// the coordinator reaches it. A child process has a listener of its own.
	listener net.Listener
	via      string
	feed     atomic.Pointer[feed.Feed] // feed of the instance; nil if it runs in a child process

	mu      sync.Mutex
	process *os.Process
	stdin   io.Closer
	frozen  bool
	// restarts receives requests to start the child again. It has room for one request. The
	// method run reads a request after the child has ended.
	restarts chan struct{}
}

// run runs the instance until ctx ends, and then stops it.
func (i *instance) run(ctx context.Context) error {
	if i.child == nil {
		return i.serve(ctx, i.listener, i.via, 0, func(f *feed.Feed) { i.feed.Store(f) })
	}
	for ctx.Err() == nil {
		if err := i.runChild(ctx); err != nil {
			return fmt.Errorf("%s: %w", i.fullName(), err)
		}
		select {
		case <-i.restarts:
		case <-ctx.Done():
		}
	}
	return nil
}

// runChild starts the child process, and returns when the process has ended.
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
		return nil // the demo itself has killed the process
	}
	return err
}

// stopAfter waits until ctx or the child ends. If ctx ends, it makes the child drain. If the child
// does not end within leaveTime and one more second, it kills the child.
func (i *instance) stopAfter(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	_ = i.thaw()
	i.drain()
	timer := time.NewTimer(leaveTime + time.Second)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		i.kill()
	}
}

// drain makes the child drain and end, by closing its stdin.
func (i *instance) drain() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stdin != nil {
		_ = i.stdin.Close()
	}
}

// kill kills the child, so that it cannot drain.
func (i *instance) kill() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process != nil {
		_ = i.process.Kill() // the process may have ended already
	}
}

// restart makes the method run start the child again, as soon as the child has ended.
func (i *instance) restart() {
	select {
	case i.restarts <- struct{}{}:
	default: // an earlier request is still pending
	}
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
	if err := signalFreeze(i.process, frozen); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
