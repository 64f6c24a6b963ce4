package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/meshhealth/meshhealth/health"
)

// hosted is a child that hosts targets, as we see it.
type hosted struct {
	*process
	record *record
	bounds Bounds
	ready  chan struct{}
	read   chan struct{} // closed when all it has said is read

	mu      sync.Mutex
	targets []place
	seq     int
	waiting map[int]chan error
	err     error // what it said that made no sense
}

// place is where a target is.
type place struct {
	id            health.ID
	address, name string
	leased        bool
}

// host starts a child and waits until it hosts what it is to.
func (r *rig) host(groups ...Group) (*hosted, error) {
	h := &hosted{
		record: r.record, bounds: r.bounds, ready: make(chan struct{}), read: make(chan struct{}), waiting: map[int]chan error{},
	}
	cmd := r.cfg.Host(r.ctx)
	out, inside := io.Pipe()
	cmd.Stdout, cmd.Stderr = inside, r.log
	var err error
	if h.process, err = launch(cmd); err != nil {
		return nil, fmt.Errorf("a host: %w", err)
	}
	go h.listen(out)
	go func() {
		<-h.ended
		_ = inside.Close()
	}()
	r.later(func() { h.kill(); <-h.read })
	if err := h.say(Spec{Coordinator: r.coordinator.at, Groups: groups}); err != nil {
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

func (h *hosted) say(what any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if _, err = h.stdin.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("a host: %w", err)
	}
	return nil
}

// listen takes what the child says.
func (h *hosted) listen(out io.Reader) {
	defer close(h.read)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		if err := h.take(word, rest); err != nil {
			h.mu.Lock()
			h.err = errors.Join(h.err, err)
			h.mu.Unlock()
		}
	}
}

func (h *hosted) take(word, rest string) error {
	switch word {
	case truthWord:
		t, err := parseTruth(strings.Fields(rest), h.bounds)
		if err == nil {
			h.record.truth(t)
		}
		return err
	case targetWord:
		return h.target(strings.Fields(rest))
	case readyWord:
		close(h.ready)
		return nil
	case doneWord:
		return h.done(rest)
	}
	return fmt.Errorf("a host says %q", word+" "+rest)
}

func (h *hosted) target(fields []string) error {
	if len(fields) != 4 {
		return fmt.Errorf("a host names a target with %d words, want 4", len(fields))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.targets = append(h.targets, place{health.ParseID(fields[0]), fields[1], fields[2], fields[3] == "true"})
	return nil
}

func (h *hosted) done(rest string) error {
	number, quoted, _ := strings.Cut(rest, " ")
	seq, err := strconv.Atoi(number)
	text, err2 := strconv.Unquote(quoted)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("a host says %q: %w", rest, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	done := h.waiting[seq]
	if done == nil {
		return fmt.Errorf("a host has done %d, which nobody ordered", seq)
	}
	delete(h.waiting, seq)
	if text != "" {
		done <- errors.New(text)
	}
	close(done)
	return nil
}

// order gives an order; the function it returns waits until it is done.
func (h *hosted) order(o Order) (wait func(context.Context) error) {
	done := make(chan error, 1)
	h.mu.Lock()
	h.seq++
	o.Seq = h.seq
	h.waiting[o.Seq] = done
	h.mu.Unlock()
	failed := h.say(o)
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

// obey gives an order and waits until it is done.
func (h *hosted) obey(ctx context.Context, o Order) error { return h.order(o)(ctx) }
