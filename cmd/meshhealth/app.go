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

	"golang.org/x/term"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// app has what a command needs from its surroundings: its streams, its clock and its terminal.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	zone           *time.Location
	// columns is the width of the terminal to which stdout writes, in characters. It is 0 if
	// stdout is not a terminal.
	columns int
	// hangups receives SIGHUP signals. It has room for one signal, and is nil in tests.
	hangups chan os.Signal
	// listening is called with the addresses when a coordinator listens. Only tests set it.
	listening func(grpc, http string)
}

func newApp() *app {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now, zone: time.Local}
	if columns, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		a.columns = max(columns, 40)
	}
	return a
}

// The exit codes that do not stand for a status.
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
	for _, one := range flatten(err) {
		all = append(all, &hintedError{one, hint})
	}
	return errors.Join(all...)
}

// flatten returns the errors that errors.Join has joined in err. It returns none for nil.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range several.Unwrap() {
		all = append(all, flatten(one)...)
	}
	return all
}

// printError prints an error, or each of several joined errors on a line. After the errors it prints
// their hints, each hint once.
func (a *app) printError(err error) {
	var hints []string
	for _, one := range flatten(err) {
		a.say("meshhealth: %v", one)
		if e, ok := errors.AsType[*hintedError](one); ok && !slices.Contains(hints, e.hint) {
			hints = append(hints, e.hint)
		}
	}
	for _, hint := range hints {
		a.say("  %s", hint)
	}
}

// allowSignal returns nil if a signal has stopped the command while it started, because this is not
// a failure. Otherwise it returns err.
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

// maxShown is the largest length of a printed text from the coordinator, in bytes per line.
const maxShown = 4 * wire.MaxText
