package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// httpGrace is how long requests may take to end by themselves.
const httpGrace = 2 * time.Second

// serveHTTP serves the pages until ctx ends.
func (c *Coordinator) serveHTTP(ctx context.Context) error {
	s := &http.Server{
		Handler: c.pages(ctx), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: wire.MaxHeaderList,
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpGrace)
		defer cancel()
		if s.Shutdown(grace) != nil {
			_ = s.Close()
		}
	})
	if err := s.Serve(c.http); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pages are /metrics, /livez (the process answers) and /readyz (it can serve).
func (c *Coordinator) pages(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 8}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { c.ready(ctx, w) })
	if at, err := netip.ParseAddrPort(c.http.Addr().String()); err == nil && !at.Addr().IsLoopback() {
		return mux // known by whatever name its network gives it
	}
	return knownHost(mux)
}

func (c *Coordinator) ready(ctx context.Context, w http.ResponseWriter) {
	self := health.State{Status: health.Draining, Reason: "the coordinator is stopping"}
	if e, ok := c.registry.Feed().Get(health.ID{}); ok && ctx.Err() == nil {
		self = e.State
	}
	w.WriteHeader(self.Status.HTTP())
	_, _ = fmt.Fprintln(w, self.Status, self.Reason)
}

// knownHost refuses names other than localhost: a page in somebody's browser
// could have its own name point at this server, and read it.
func knownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
			http.Error(w, "Host: not an IP address or localhost", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
