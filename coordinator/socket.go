package coordinator

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
)

// SocketName is the name of the unix socket in the folder of the store.
const SocketName = "meshhealth.sock"

// openSocket opens the unix socket for local callers. Its users are identified by the kernel, so that the
// file needs no narrow permissions. It returns nil if there is none. The store must be open, because its
// lock ensures that no other coordinator uses the same folder.
func openSocket(ctx context.Context, cfg *Config) (net.Listener, error) {
	if cfg.Socket != "" && cfg.Socket != Off {
		return listenUnix(ctx, cfg.Socket)
	}
	if cfg.Socket == Off || cfg.Listener != nil {
		return nil, nil
	}
	var lastErr error
	for _, path := range defaultSockets(cfg.DataDir) {
		l, err := listenUnix(ctx, path)
		if err == nil {
			return l, nil
		}
		lastErr = err
	}
	// Without the socket only overrides and the like are missing, so the coordinator runs all the same.
	cfg.Logger.Warn("there is no unix socket for local administration; set socket to a path in a folder that allows sockets, or to off", "error", lastErr)
	return nil, nil
}

// sockets counts the paths that defaultSockets has made, because one process may run several coordinators.
var sockets atomic.Int64

// defaultSockets returns the paths to try, the best first.
func defaultSockets(dataDir string) (paths []string) {
	if dataDir != "" {
		if dir, err := filepath.Abs(dataDir); err == nil {
			paths = append(paths, filepath.Join(dir, SocketName))
		}
	}
	own := "meshhealth-" + strconv.Itoa(os.Getpid())
	if n := sockets.Add(1); n > 1 {
		own += "-" + strconv.FormatInt(n, 10)
	}
	own += ".sock"
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		paths = append(paths, filepath.Join(dir, own))
	}
	return append(paths, filepath.Join(os.TempDir(), own))
}

// listenUnix opens a unix socket. It replaces the file of a socket on which nobody listens.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if len(path) > maxSocket {
		return nil, fmt.Errorf("socket: %q has %d bytes; allowed: at most %d", path, len(path), maxSocket)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "unix", path); err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("socket: another process listens on %q; allowed: a path of its own", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o666); err != nil { // #nosec G302 -- the kernel names the user of each connection, and the rules decide about it
			_ = l.Close()
			return nil, fmt.Errorf("socket: %w", err)
		}
	}
	return l, nil
}
