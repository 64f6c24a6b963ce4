package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// host runs in a child process. It hosts targets, and writes the states of the targets to
// stdout.
type host struct {
	ctx         context.Context
	coordinator string // HOST:PORT of the coordinator's gRPC listener
	out         *writer
	wg          sync.WaitGroup

	mu      sync.Mutex
	targets []*target
	closers []func()         // functions that the method close calls
	clients []*client.Client // clients with which leased targets register
	leases  int              // number of targets that use the last client in clients
	closed  bool
}

// RunHost starts the targets of the [Spec] in the first line of in. Then it executes the
// [Command] in each further line. It writes the states of the targets and the results of the
// commands to out. It returns when in or ctx ends, and all its goroutines have ended.
func RunHost(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	var spec Spec
	if !lines.Scan() {
		return errors.Join(errors.New("stdin has no first line; it must be a Spec"), lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &spec); err != nil {
		return fmt.Errorf("the Spec in the first line of stdin: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	h := &host{ctx: ctx, coordinator: spec.Coordinator, out: &writer{to: out}}
	defer h.close()
	defer cancel()
	if err := h.openGroups(spec.Groups); err != nil {
		return err
	}
	h.writeTargets()
	for lines.Scan() && ctx.Err() == nil {
		var c Command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("a command: %w", err)
		}
		h.wg.Go(func() { h.out.writeDone(c.Seq, h.execute(&c)) })
	}
	return lines.Err()
}

// writeTargets writes one line for each target to stdout, and after these lines the line "ready".
func (h *host) writeTargets() {
	for _, t := range h.allTargets() {
		h.out.writeLine("%s %s %s %s %t\n", targetWord, t.id, t.address, t.name, t.lease != nil)
	}
	h.out.writeLine("%s\n", readyWord)
}

func (h *host) allTargets() []*target {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*target(nil), h.targets...)
}

// perClient is the number of targets that register over one connection.
const perClient = 50

// clientWithRoom returns a client with which another target may register. It makes a new client
// if perClient targets use the last one.
func (h *host) clientWithRoom() (*client.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, context.Canceled
	}
	if n := len(h.clients); n > 0 && h.leases < perClient {
		h.leases++
		return h.clients[n-1], nil
	}
	c, err := client.New(client.Config{Coordinator: h.coordinator})
	if err == nil {
		h.clients, h.leases = append(h.clients, c), 1
	}
	return c, err
}

// onClose registers a function f that the method close calls. If close was already called,
// onClose calls f at once, because a command may still run during close.
func (h *host) onClose(f func()) {
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.closers = append(h.closers, f)
	}
	h.mu.Unlock()
	if closed {
		f()
	}
}

func (h *host) close() {
	h.mu.Lock()
	closers, clients := h.closers, h.clients
	h.closed = true
	h.mu.Unlock()
	for _, f := range closers {
		f()
	}
	for _, c := range clients {
		_ = c.Close() // the process ends anyway, so an error has no consequence
	}
	h.wg.Wait()
}

// writer writes whole lines, even if several goroutines write at the same time.
type writer struct {
	mu sync.Mutex
	to io.Writer
}

func (w *writer) writeLine(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A write fails only if the parent process has ended. The stdin of this process then
	// ends too, and RunHost returns.
	_, _ = fmt.Fprintf(w.to, format, args...)
}

func (w *writer) writeTruth(id health.ID, s State, by source) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = io.WriteString(w.to, truthLine(time.Now(), id, s, by))
}

func (w *writer) writeDone(seq int, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	w.writeLine("%s %d %q\n", doneWord, seq, text)
}
