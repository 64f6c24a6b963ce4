package demo

import (
	"context"
	"errors"
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

// backend is what a service depends on: a small HTTP server that can get slow,
// and go away.
type backend struct {
	address string
	delay   atomic.Int64 // nanoseconds

	mu     sync.Mutex
	server *http.Server // nil: refuses
	wg     sync.WaitGroup
}

func newBackend() (*backend, error) {
	b := &backend{address: "127.0.0.1:0"}
	return b, b.open()
}

// open lets it answer, at the address it had before.
func (b *backend) open() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", b.address)
	if err != nil {
		return fmt.Errorf("a backend: %w", err)
	}
	b.address = l.Addr().String()
	b.server = &http.Server{Handler: http.HandlerFunc(b.answer), ReadHeaderTimeout: time.Second}
	b.wg.Go(func() { _ = b.server.Serve(l) })
	return nil
}

// close makes it refuse. Nobody is let finish: it is an accident.
func (b *backend) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		_ = b.server.Close()
	}
	b.server = nil
	b.wg.Wait()
	return nil
}

// slow makes it too slow for slowLimit.
func (b *backend) slow() error {
	b.delay.Store(int64(120 * time.Millisecond))
	return nil
}

// recover makes it as it was.
func (b *backend) recover() error {
	b.delay.Store(0)
	return b.open()
}

func (b *backend) answer(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(time.Duration(b.delay.Load())):
		_, _ = io.WriteString(w, "pong\n")
	case <-r.Context().Done():
	}
}

// slowLimit is how long a backend may take.
const slowLimit = 50 * time.Millisecond

// ping is the check of a backend. It dials anew each time: a connection kept
// from before says nothing about the next one.
func ping(address string) func(context.Context) error {
	transport := &http.Transport{DisableKeepAlives: true}
	return func(ctx context.Context) error {
		start := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return errors.New("the database: " + err.Error())
		}
		defer resp.Body.Close() //nolint:errcheck // it was only read
		if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)); err != nil {
			return fmt.Errorf("the database: %w", err)
		}
		took := time.Since(start)
		server.Observe(ctx, float64(took.Microseconds())/1000, "ms")
		if took > slowLimit {
			return health.Warnf("the database took %v, limit %v", took.Round(time.Millisecond), slowLimit)
		}
		return nil
	}
}
