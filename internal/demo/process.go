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

// instance keeps one instance running: in this process, or in a child that is
// started again after an accident.
type instance struct {
	Instance
	// child makes its process; nil means it lives in this one.
	child func(ctx context.Context, i Instance) *exec.Cmd
	feed  atomic.Pointer[feed.Feed] // in this process only

	mu      sync.Mutex
	process *os.Process
	stdin   io.Closer
	frozen  bool
	// again starts the child again; nobody waits on it while it runs.
	again chan struct{}
}

// keep runs the instance until ctx ends.
func (i *instance) keep(ctx context.Context) error {
	if i.child == nil {
		return i.serve(ctx, func(f *feed.Feed) { i.feed.Store(f) })
	}
	for ctx.Err() == nil {
		if err := i.once(ctx); err != nil {
			return fmt.Errorf("%s/%s: %w", i.Service, i.Name, err)
		}
		select {
		case <-i.again:
		case <-ctx.Done():
		}
	}
	return nil
}

// once runs the child until it ends, by itself or at our wish.
func (i *instance) once(ctx context.Context) error {
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
	waiting.Go(func() { i.endWith(ctx, ended) })
	err = cmd.Wait()
	close(ended)
	waiting.Wait()
	if _, killed := errors.AsType[*exec.ExitError](err); killed {
		return nil // the accident the story is about
	}
	return err
}

// endWith takes the child down when ctx ends: politely, then not.
func (i *instance) endWith(ctx context.Context, ended <-chan struct{}) {
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

// drain asks the child to take its leave: it does when its stdin ends.
func (i *instance) drain() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stdin != nil {
		_ = i.stdin.Close()
	}
	return nil
}

// kill ends the child without a word.
func (i *instance) kill() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process != nil {
		_ = i.process.Kill() // it may have ended by itself
	}
	return nil
}

// restart starts the child again, when it has ended.
func (i *instance) restart() error {
	select {
	case i.again <- struct{}{}:
	default: // asked for already
	}
	return nil
}

// freeze stops the child in its tracks.
func (i *instance) freeze() error { return i.setFrozen(true) }

// thaw lets it go on.
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
