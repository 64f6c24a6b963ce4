package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// MaxFile is the largest file that is read, in bytes. 50,000 services with 300 bytes
// each fit into it.
const MaxFile = 16 << 20

// ErrTooLarge reports an input with more bytes than are allowed.
var ErrTooLarge = errors.New("is larger than")

// Read opens a file or pipe and reads it to its end. It returns ErrTooLarge if there
// are more than limit bytes.
//
// Read also returns when ctx ends, with the error of ctx. If a pipe has no writer, nothing can end
// a read from it. In this case the reading goroutine remains until the process ends.
func Read(ctx context.Context, limit int64, open func() (io.ReadCloser, error)) ([]byte, error) {
	type outcome struct {
		text []byte
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		text, err := readAll(limit, open)
		done <- outcome{text, err}
	}()
	select {
	case o := <-done:
		return o.text, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func readAll(limit int64, open func() (io.ReadCloser, error)) ([]byte, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%w %d bytes", ErrTooLarge, limit)
	}
	return text, err
}

// shellVariable matches the start of a text that a shell would replace.
var shellVariable = regexp.MustCompile(`\$(\{|\(|[A-Za-z_])`)

// CheckPath refuses a path with ~ or $VARIABLE in it, because only a shell replaces them. Without
// this check, a path such as ~/data would create a folder with the name ~.
func CheckPath(path string) error {
	shown := wire.CleanTo(path, wire.MaxText)
	if strings.HasPrefix(path, "~") {
		return fmt.Errorf("%q begins with ~, which only a shell replaces; allowed: the path written out, or ./~ for that name", shown)
	}
	if shellVariable.MatchString(path) {
		return fmt.Errorf("%q has a variable in it, which only a shell replaces; allowed: the path written out", shown)
	}
	return nil
}

// CheckLength returns a check that refuses a text of more than limit bytes.
func CheckLength(limit int) func(text string) error {
	return func(text string) error {
		if len(text) > limit {
			return fmt.Errorf("has %d bytes; allowed: at most %d", len(text), limit)
		}
		return nil
	}
}
