package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// app is what the commands know of the world around them.
type app struct {
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	zone           *time.Location
	// columns is the width of the terminal stdout is; 0 if it is none.
	columns int
	// listening is told where a coordinator listens, for tests.
	listening func(grpc, http string)
}

func newApp() *app {
	a := &app{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now, zone: time.Local}
	if columns, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		a.columns = max(columns, 40)
	}
	return a
}

// The exit codes besides those of statuses.
const (
	exitOK   = 0
	exitFail = 3 // could not do what was asked
)

// exitCode ends a command that has said all there is to say.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// fault is an error with what to do about it.
type fault struct {
	err  error
	hint string
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func hinted(hint, format string, args ...any) error {
	return &fault{fmt.Errorf(format, args...), hint}
}

// run runs a command line and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	a.complain(err)
	return exitFail
}

// complain prints an error, which may be several, and below it what to do.
func (a *app) complain(err error) {
	var hints []string
	for _, one := range flatten(err) {
		a.say("meshhealth: %v", one)
		if f, ok := errors.AsType[*fault](one); ok && !slices.Contains(hints, f.hint) {
			hints = append(hints, f.hint)
		}
	}
	for _, hint := range hints {
		a.say("  %s", hint)
	}
}

// flatten lists what errors.Join has joined.
func flatten(err error) []error {
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

// say prints a line of talk. A terminal does what escapes in a text tell it,
// so there must be none.
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

// cleanLines cleans each line of a text of ours with texts of others in it.
func cleanLines(text string) string {
	lines := splitLines(text)
	for i, line := range lines {
		lines[i] = wire.CleanTo(line, 4*wire.MaxText)
	}
	return joinLines(lines)
}
