package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshhealth/meshhealth/client"
)

// pseudoTerminal opens a terminal of the kernel with a width. What is written to keys is typed.
func pseudoTerminal(t *testing.T, columns int) (keys, tty *os.File) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this system has no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	fd := int(keys.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return keys, tty
}

// TestRealTerminal runs the watch on a terminal of the kernel: keys act at once, and the terminal
// is afterwards as it was before.
func TestRealTerminal(t *testing.T) {
	keys, tty := pseudoTerminal(t, 72)
	before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	s := shell{columns: 72}
	a := s.app()
	a.terminal, a.stdout = terminalOf(tty, tty), tty
	if a.terminal == nil || a.terminal.Columns() != 72 {
		t.Fatalf("%v", a.terminal)
	}
	w := newWatchPrinter(a, &watchFlags{output: output{format: "table", colour: "never"}}, nil)
	w.view = newWatchView(w.pen, time.UTC, 72)
	watch := func(ctx context.Context) iter.Seq2[client.Update, error] {
		return func(yield func(client.Update, error) bool) {
			during, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
			if err != nil || during.Lflag&(unix.ICANON|unix.ECHO) != 0 {
				t.Errorf("keys are shown, or come only with lines: %v", err)
			}
			yield(client.Update{Snapshot: true, SnapshotEnd: true, Entries: entriesOf(mesh()...), Received: noon}, nil)
			_, _ = io.WriteString(keys, "q")
			<-ctx.Done()
		}
	}
	screen := make(chan string)
	go func() {
		b := make([]byte, 4096)
		var text strings.Builder
		for !strings.Contains(text.String(), "the end") {
			n, err := keys.Read(b)
			if err != nil {
				break
			}
			text.Write(b[:n])
		}
		screen <- text.String()
	}()
	if err := w.watchOnTerminal(t.Context(), watch); err != nil {
		t.Error(err)
	}
	_, _ = io.WriteString(tty, "the end\n")
	shown := <-screen
	if !strings.Contains(shown, "payments/b") || !strings.Contains(shown, clearLine+"the end") {
		t.Errorf("%q", shown)
	}
	after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is %+v, and was %+v: %v", after, before, err)
	}
}
