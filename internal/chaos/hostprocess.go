package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/meshhealth/meshhealth/health"
)

// hostProcess is the handle that the parent has of a child process that hosts targets.
type hostProcess struct {
	*process
	record *record
	bounds Bounds
	ready  chan struct{} // closed when all targets of the Spec have started
	read   chan struct{} // closed when all output of the child has been read

	mu      sync.Mutex
	targets []hostedTarget
	seq     int                // Command.Seq of the last command that was sent
	waiting map[int]chan error // channels for the results of unfinished commands, by Command.Seq
	err     error              // error about invalid lines of the child; nil if there are none
}

// hostedTarget describes a target that a child process hosts.
type hostedTarget struct {
	id      health.ID
	address string // HOST:PORT of the server
	name    string // name of the target in health requests
	leased  bool
}

// host starts a child process that hosts the targets of groups, and waits until these targets
// have started.
func (r *rig) host(groups ...Group) (*hostProcess, error) {
	h := &hostProcess{
		record: r.record, bounds: r.bounds, ready: make(chan struct{}), read: make(chan struct{}), waiting: map[int]chan error{},
	}
	cmd := r.cfg.Host(r.ctx)
	out, inside := io.Pipe()
	cmd.Stdout, cmd.Stderr = inside, r.log
	var err error
	if h.process, err = startProcess(cmd); err != nil {
		return nil, fmt.Errorf("a host: %w", err)
	}
	go h.listen(out)
	go func() {
		<-h.ended
		_ = inside.Close()
	}()
	r.onClose(func() { h.kill(); <-h.read })
	if err := h.send(Spec{Coordinator: r.coordinator.at, Groups: groups}); err != nil {
		return nil, err
	}
	select {
	case <-h.ready:
		return h, nil
	case <-h.ended:
		<-h.read
		return nil, errors.Join(fmt.Errorf("a host: %w", errEnded), h.err)
	case <-r.ctx.Done():
		return nil, r.ctx.Err()
	}
}

func (h *hostProcess) send(what any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if _, err = h.stdin.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("a host: %w", err)
	}
	return nil
}

// listen reads the stdout of the child until it ends.
func (h *hostProcess) listen(out io.Reader) {
	defer close(h.read)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		if err := h.handleLine(word, rest); err != nil {
			h.mu.Lock()
			h.err = errors.Join(h.err, err)
			h.mu.Unlock()
		}
	}
}

func (h *hostProcess) handleLine(word, rest string) error {
	switch word {
	case truthWord:
		t, err := parseTruth(strings.Fields(rest), h.bounds)
		if err == nil {
			h.record.addTruth(t)
		}
		return err
	case targetWord:
		return h.addTarget(strings.Fields(rest))
	case readyWord:
		close(h.ready)
		return nil
	case doneWord:
		return h.finishCommand(rest)
	}
	return fmt.Errorf("unknown line from a host: %q", word+" "+rest)
}

func (h *hostProcess) addTarget(fields []string) error {
	if len(fields) != 4 {
		return fmt.Errorf("a line about a target has %d fields, want 4", len(fields))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.targets = append(h.targets, hostedTarget{id: health.ParseID(fields[0]), address: fields[1], name: fields[2], leased: fields[3] == "true"})
	return nil
}

// listTargets returns the targets of the child's Spec. Targets that a [Command] starts later are
// not in the list.
func (h *hostProcess) listTargets() []hostedTarget {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.targets)
}

func (h *hostProcess) finishCommand(rest string) error {
	number, quoted, _ := strings.Cut(rest, " ")
	seq, err := strconv.Atoi(number)
	text, err2 := strconv.Unquote(quoted)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("a line of a host: %q: %w", rest, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	done := h.waiting[seq]
	if done == nil {
		return fmt.Errorf("a host answers the command %d, which was not sent", seq)
	}
	delete(h.waiting, seq)
	if text != "" {
		done <- errors.New(text)
	}
	close(done)
	return nil
}

// startCommand sends a command to the child process. The returned function waits until the
// command is done, and returns its error.
func (h *hostProcess) startCommand(c Command) (wait func(context.Context) error) {
	done := make(chan error, 1)
	h.mu.Lock()
	h.seq++
	c.Seq = h.seq
	h.waiting[c.Seq] = done
	h.mu.Unlock()
	failed := h.send(c)
	return func(ctx context.Context) error {
		if failed != nil {
			return failed
		}
		select {
		case err := <-done:
			return err
		case <-h.ended:
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run sends a command to the child process and waits until the command is done.
func (h *hostProcess) run(ctx context.Context, c Command) error { return h.startCommand(c)(ctx) }
