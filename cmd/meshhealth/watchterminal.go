package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/term"

	"github.com/meshhealth/meshhealth/client"
)

// terminal is the terminal to which stdout writes.
type terminal interface {
	// Columns returns the present width.
	Columns() int
	// Raw lets reads return each key at once, without showing it. The caller must call restore.
	Raw() (restore func(), err error)
	// Read reads keys.
	io.Reader
}

// osTerminal is the terminal of the process. Keys are read from stdin.
type osTerminal struct{ in, out *os.File }

// terminalOf returns the terminal of stdout, or nil if stdout is none.
func terminalOf(in, out *os.File) terminal {
	if !term.IsTerminal(int(out.Fd())) {
		return nil
	}
	return osTerminal{in, out}
}

func (t osTerminal) Columns() int {
	columns, _, err := term.GetSize(int(t.out.Fd()))
	if err != nil {
		return minColumns
	}
	return max(columns, minColumns)
}

func (t osTerminal) Raw() (restore func(), err error) {
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(int(t.in.Fd()), before) }, nil
}

func (t osTerminal) Read(p []byte) (int, error) { return t.in.Read(p) }

// repaints reports whether the command watch may write a line again. A user of a screen reader does
// not want this.
func (a *app) repaints(f *watchFlags) bool {
	return a.terminal != nil && !f.json() && !a.isPlain() && a.getenv("TERM") != "dumb"
}

// gcPercent is the setting of the garbage collector during a watch on a terminal. The heap is small
// and receives up to 10,000 entries a second, so that the default costs a quarter of the CPU time.
const gcPercent = 400

// watchStep is what one step of a Watch has yielded.
type watchStep struct {
	update client.Update
	err    error
}

// watchOnTerminal shows a Watch until ctx ends, the user ends it, or it fails. It always restores the
// terminal. It waits until the goroutine that receives updates has ended. The goroutine that reads
// keys ends with the process, because nothing can interrupt it.
func (w *watchPrinter) watchOnTerminal(ctx context.Context, watch func(context.Context) iter.Seq2[client.Update, error]) error {
	if w.getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	updates := make(chan watchStep)
	go func() {
		defer close(updates)
		for u, err := range watch(ctx) {
			select {
			case updates <- watchStep{u, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range updates { // until the goroutine has ended
		}
	}()
	var keys chan []byte
	if restore, err := w.terminal.Raw(); err == nil { // stdin may be no terminal
		defer restore()
		keys = make(chan []byte)
		go readKeys(ctx, w.terminal, keys)
	}
	defer func() { _, _ = io.WriteString(w.stdout, w.view.finish(w.now())) }()
	return w.showUpdates(ctx, updates, keys)
}

// showUpdates shows updates and handles keys, until one of them ends the watch.
func (w *watchPrinter) showUpdates(ctx context.Context, updates <-chan watchStep, keys <-chan []byte) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case got, more := <-updates:
			if !more {
				return ctx.Err()
			}
			if got.err != nil {
				return got.err
			}
			w.view.note(&got.update)
			if err := w.print(&got.update); err != nil {
				return err
			}
		case pressed := <-keys:
			if w.view.key(pressed, w.now()) {
				return nil
			}
		case <-timer.C:
			w.view.columns = w.terminal.Columns()
			w.view.tick(w.now())
		case <-ctx.Done():
			return ctx.Err()
		}
		now := w.now()
		if text := w.view.flush(now); text != "" {
			if _, err := io.WriteString(w.stdout, text); err != nil {
				return fmt.Errorf("cannot write to the terminal: %w", err)
			}
		}
		timer.Reset(w.view.deadline(now).Sub(now))
	}
}

// readKeys sends what the user types, until ctx ends or nothing can be read.
func readKeys(ctx context.Context, from io.Reader, keys chan<- []byte) {
	for {
		b := make([]byte, 64)
		n, err := from.Read(b)
		if n > 0 {
			select {
			case keys <- b[:n]:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}
