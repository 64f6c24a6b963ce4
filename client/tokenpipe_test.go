//go:build unix

package client

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestTokenPipe: a pipe in place of the file blocks nobody.
func TestTokenPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	checkTokenFile(t, pipe, "is no regular file; allowed: a file with a token")
}
