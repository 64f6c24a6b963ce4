package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// app has the parts of the process environment that commands use: standard streams, environment
// variables, clock, time zone, terminal and signals.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	zone           *time.Location
	// columns is the width of the terminal to which stdout writes, in characters. It is 0 if
	// stdout is not a terminal.
	columns int
	// terminal is the terminal to which stdout writes, or nil. Only commands that repaint or read
	// keys use it.
	terminal terminal
	// plain is the value of the flag --plain.
	plain bool
	// hangups receives SIGHUP signals. The channel has a buffer for one signal. In tests it is
	// nil.
	hangups chan os.Signal
	// listening is called with the addresses of the two listeners when the command coordinator
	// has opened them. Only tests set this field.
	listening func(grpc, http string)
}

func newApp() *app {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now, zone: time.Local}
	if a.terminal = terminalOf(os.Stdin, os.Stdout); a.terminal != nil {
		a.columns = a.terminal.Columns()
	}
	return a
}

// minColumns is the smallest width of a terminal that commands assume.
const minColumns = 40

// Exit codes for the result of a command. exitCodeOf returns the exit code for a health status.
const (
	exitOK   = 0
	exitFail = 3 // the command has failed
)

// exitCode is an error that ends the command with this exit code. The command has already printed
// the reason.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// hintedError is an error with a hint for the user, which says what to do about the error.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

func hinted(hint, format string, args ...any) error {
	return &hintedError{fmt.Errorf(format, args...), hint}
}

// hintedAll adds the same hint to each error that errors.Join has joined in err.
func hintedAll(err error, hint string) error {
	var all []error
	for _, one := range fields.Flatten(err) {
		all = append(all, &hintedError{one, hint})
	}
	return errors.Join(all...)
}

// printError prints err to stderr. If errors.Join has made err, each joined error gets its own
// line. Hints are printed below the errors, and equal hints only once.
func (a *app) printError(err error) {
	var hints []string
	for _, one := range fields.Flatten(err) {
		a.say("meshhealth: %v", one)
		if e, ok := errors.AsType[*hintedError](one); ok && !slices.Contains(hints, e.hint) {
			hints = append(hints, e.hint)
		}
	}
	for _, hint := range hints {
		a.say("  %s", hint)
	}
}

// allowSignal returns nil if a signal has stopped the command before the command had started,
// because this is not a failure. Otherwise it returns err.
func (a *app) allowSignal(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	a.say("meshhealth: stopped by a signal before it had started")
	return nil
}

// say prints a line to stderr. It removes control characters from texts and errors in args, because
// a terminal would execute them.
func (a *app) say(format string, args ...any) {
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			args[i] = cleanLines(arg)
		case error:
			args[i] = cleanLines(arg.Error())
		}
	}
	fmt.Fprintf(a.stderr, format+"\n", args...)
}

// cleanLines removes control characters from each line of a text, and shortens long lines.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = wire.CleanTo(line, maxShown)
	}
	return strings.Join(lines, "\n")
}

// maxShown is the largest number of bytes that are printed of one line of text.
const maxShown = 4 * wire.MaxText
