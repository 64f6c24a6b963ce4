package input

import (
	"context"
	"errors"
	"io"
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
