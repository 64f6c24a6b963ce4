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

// host is a child: it hosts targets, and writes down what they are.
type host struct {
	ctx         context.Context
	coordinator string
	out         *writer
	wg          sync.WaitGroup

	mu      sync.Mutex
	targets []*target
	undo    []func()
	clients []*client.Client
	leases  int // of the last client
}

// RunHost hosts what the first line of in asks for, does what the others order,
// and ends when in or ctx does.
func RunHost(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	var spec Spec
	if !lines.Scan() {
		return errors.Join(errors.New("nothing to host: stdin has no first line"), lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &spec); err != nil {
		return fmt.Errorf("what to host: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	h := &host{ctx: ctx, coordinator: spec.Coordinator, out: &writer{to: out}}
	defer h.close()
	defer cancel()
	for i := range spec.Groups {
		if err := h.open(&spec.Groups[i]); err != nil {
			return err
		}
	}
	if err := h.introduce(); err != nil {
		return err
	}
	for lines.Scan() && ctx.Err() == nil {
		var o Order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return fmt.Errorf("an order: %w", err)
		}
		h.wg.Go(func() { h.out.done(o.Seq, h.do(&o)) })
	}
	return lines.Err()
}

// introduce waits until every lease is acknowledged, and names the targets.
func (h *host) introduce() error {
	for _, t := range h.all() {
		if err := t.registered(h.ctx); err != nil {
			return err
		}
		h.out.line("%s %s %s %s %t\n", targetWord, t.id, t.address, t.name, t.lease != nil)
	}
	h.out.line("%s\n", readyWord)
	return nil
}

func (h *host) all() []*target {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*target(nil), h.targets...)
}

// perClient is how many registrations share a connection.
const perClient = 50

// client returns one that has room for another registration.
func (h *host) client() (*client.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
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

// later is called by close.
func (h *host) later(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.undo = append(h.undo, f)
}

func (h *host) close() {
	h.mu.Lock()
	undo, clients := h.undo, h.clients
	h.mu.Unlock()
	for _, f := range undo {
		f()
	}
	for _, c := range clients {
		_ = c.Close() // nobody is left to be told
	}
	h.wg.Wait()
}

// writer writes whole lines.
type writer struct {
	mu sync.Mutex
	to io.Writer
}

func (w *writer) line(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// Without a reader there is nobody to complain to: stdin ends too.
	_, _ = fmt.Fprintf(w.to, format, args...)
}

func (w *writer) truth(id health.ID, s State, by way) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = io.WriteString(w.to, truthLine(time.Now(), id, s, by))
}

func (w *writer) done(seq int, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	w.line("%s %d %q\n", doneWord, seq, text)
}
