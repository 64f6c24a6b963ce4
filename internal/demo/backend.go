package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// backend is an HTTP server that instances of the demo need. It stands for a disk, or for a server
// outside of the mesh. The steps of the story make it slow, or make it refuse connections.
type backend struct {
	address string       // HOST:PORT
	delay   atomic.Int64 // delay of each answer, in nanoseconds

	mu     sync.Mutex
	server *http.Server // server of the backend; nil while the backend refuses connections
	wg     sync.WaitGroup
}

func newBackend() (*backend, error) {
	b := &backend{address: "127.0.0.1:0"}
	return b, b.open()
}

// open starts the server of the backend, unless the server runs. The first call selects a free
// port, and later calls use the same port.
func (b *backend) open() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", b.address)
	if err != nil {
		return fmt.Errorf("backend: %w", err)
	}
	b.address = l.Addr().String()
	s := &http.Server{Handler: http.HandlerFunc(b.serve), ReadHeaderTimeout: time.Second}
	b.server = s
	b.wg.Go(func() { _ = s.Serve(l) })
	return nil
}

// close stops the server at once and breaks its open requests, as a crash does.
func (b *backend) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		_ = b.server.Close()
	}
	b.server = nil
	b.wg.Wait()
}

// slowAnswer is how long a slow backend takes. slowLimit is the response time above which the check
// of an instance warns. Both are long, so that a busy machine causes no warnings.
const (
	slowAnswer = 700 * time.Millisecond
	slowLimit  = 500 * time.Millisecond
)

func (b *backend) slowDown() { b.delay.Store(int64(slowAnswer)) }

// repair ends the delay of the backend, and starts its server if the server is stopped.
func (b *backend) repair() error {
	b.delay.Store(0)
	return b.open()
}

func (b *backend) serve(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(time.Duration(b.delay.Load())):
		_, _ = io.WriteString(w, "pong\n")
	case <-r.Context().Done():
	}
}

// pingBackend returns a check that calls the backend at an address. Each run of the check opens a
// new connection, because an open connection may work although the backend refuses new
// connections.
func pingBackend(address string) func(context.Context) error {
	transport := &http.Transport{DisableKeepAlives: true}
	return func(ctx context.Context) error {
		start := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // a failed Close loses nothing, because the body was only read
		if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)); err != nil {
			return err
		}
		took := time.Since(start)
		server.Observe(ctx, float64(took.Microseconds())/1000, "ms")
		if took > slowLimit {
			return health.Warnf("an answer took %v, limit %v", took.Round(time.Millisecond), slowLimit)
		}
		return nil
	}
}
