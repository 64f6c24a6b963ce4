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

// MaxFile is the largest size of a file that is read, in bytes. A file with 50,000 services of
// 300 bytes each is smaller.
const MaxFile = 16 << 20

// ErrTooLarge reports that an input has more bytes than are allowed. An error that wraps it adds the
// name of the input before its text, and the limit after its text.
var ErrTooLarge = errors.New("is larger than")

// Read opens a file or pipe and reads it to its end. It returns ErrTooLarge if there
// are more than limit bytes.
//
// If ctx ends, Read returns the error of ctx. If a pipe has no writer, a goroutine that reads from
// the pipe cannot be stopped. In this case it remains until the process ends.
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

// shellVariable matches the parts of a text that a shell would replace, such as $HOME.
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

// CheckLength returns a function that refuses a text of more than limit bytes.
func CheckLength(limit int) func(text string) error {
	return func(text string) error {
		if len(text) > limit {
			return fmt.Errorf("has %d bytes; allowed: at most %d", len(text), limit)
		}
		return nil
	}
}
