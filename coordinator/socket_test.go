package coordinator

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shortDir returns a new folder whose path is short enough for a unix socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mh")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestSocketFile: the file of the unix socket is made, and removed at the end. One that a killed process has
// left is replaced. One on which a process listens is not, and neither is a file of another kind.
func TestSocketFile(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	l, err := listenUnix(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v; every user must be able to connect", info, err)
	}
	if _, err := listenUnix(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another process listens on") {
		t.Errorf("a second listener: %v", err)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("after the attempt of another one: %v", err)
	} else {
		_ = conn.Close()
	}
	_ = l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = stale.Close()
	if l, err = listenUnix(t.Context(), path); err != nil {
		t.Fatalf("a file on which nobody listens: %v", err)
	}
	_ = l.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(t.Context(), path); err == nil {
		t.Error("the file of somebody was replaced")
	}
	if text, err := os.ReadFile(path); string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestSocketPath: a default path that is too long is not used, but the next one. A path that was set is used or
// refused.
func TestSocketPath(t *testing.T) {
	dir, long := shortDir(t), filepath.Join(t.TempDir(), strings.Repeat("x", maxSocket))
	t.Setenv("XDG_RUNTIME_DIR", dir)
	cfg := &Config{DataDir: long, Logger: slog.New(slog.DiscardHandler)}
	l, err := openSocket(t.Context(), cfg)
	if err != nil || l == nil || filepath.Dir(l.Addr().String()) != dir {
		t.Fatalf("%v, %v; want a socket in %s", l, err, dir)
	}
	_ = l.Close()
	cfg.DataDir = dir
	if l, err = openSocket(t.Context(), cfg); err != nil || l.Addr().String() != filepath.Join(dir, SocketName) {
		t.Fatalf("%v, %v; want a socket in the folder of the store", l, err)
	}
	_ = l.Close()
	cfg.Socket = long
	if _, err = openSocket(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "socket: ") || !strings.Contains(err.Error(), "allowed: at most") {
		t.Errorf("a path that is too long: %v", err)
	}
	cfg.Socket = Off
	if l, err = openSocket(t.Context(), cfg); l != nil || err != nil {
		t.Errorf("off: %v, %v", l, err)
	}
}
