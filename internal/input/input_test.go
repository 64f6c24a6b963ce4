package input

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestInputEndsWithItsContext checks that Read returns when its context ends, although no
// process writes to the pipe.
func TestInputEndsWithItsContext(t *testing.T) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Read(ctx, 10, func() (io.ReadCloser, error) { cancel(); return r, nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.Close()
}

// TestTooManyFaults checks that an error with very many faults says how many there are.
func TestTooManyFaults(t *testing.T) {
	p := &Problems{File: "x"}
	for range 5000 {
		p.Add(1, "", "is wrong")
	}
	if p.Count() != 5000 || len(p.List) != 1000 || !strings.HasSuffix(p.Error(), "x: and 4950 more") {
		t.Errorf("%d faults, %d kept: %.100s", p.Count(), len(p.List), p.Error())
	}
}
