package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// grace is the longest time for which Serve waits for open requests after ctx has ended.
const grace = 2 * time.Second

// Config has the settings of a Server.
type Config struct {
	// Feed is the feed that holds the state of the coordinator itself.
	Feed *feed.Feed
	// Metrics gathers the metrics that /metrics shows.
	Metrics prometheus.Gatherer
	// Policy decides about access; nil means [access.TrustPolicy].
	Policy access.Policy
	// IPv6Prefix is the length, in bits, of the IPv6 prefix that identifies a peer. 0
	// means wire.PeerPrefix.
	IPv6Prefix int
}

// Server serves the HTTP pages of a coordinator.
type Server struct{ pages pages }

// New returns a server that accepts no connections before Serve is called.
func New(cfg Config) *Server {
	if cfg.Policy == nil {
		cfg.Policy = access.TrustPolicy{}
	}
	return &Server{pages{feed: cfg.Feed, policy: cfg.Policy, metrics: newMetricsPage(cfg.Metrics, cfg.IPv6Prefix)}}
}

// limited is a connection that may be over a limit on the number of connections.
type limited interface {
	// Refused returns an error that names the exceeded limit, or nil.
	Refused() error
}

// Serve answers requests until ctx ends. It closes the listener, and returns when all
// requests have ended. If a connection has the method Refused() error and this returns an
// error, all requests on the connection are answered with the error.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	h := &http.Server{
		Handler: s.Handler(ctx, listener.Addr()), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: wire.MaxHeaderList,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if h.Shutdown(limit) != nil {
			_ = h.Close()
		}
	})
	if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler returns the handler of all requests. at is the address of the listener. After ctx has
// ended, /readyz answers DRAINING.
func (s *Server) Handler(ctx context.Context, at net.Addr) http.Handler {
	mux := s.pages.mux(ctx)
	if at, err := netip.ParseAddrPort(at.String()); err == nil && !at.Addr().IsLoopback() {
		return refuseLimited(mux) // other machines may use any host name for a listener that is not on loopback
	}
	return refuseLimited(refuseForeignHosts(mux))
}

// connKey is the context key of the connection of a request.
type connKey struct{}

// refuseLimited answers a request on a refused connection with the error of Refused, and
// closes the connection.
func refuseLimited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connKey{}).(limited); ok {
			if err := conn.Refused(); err != nil {
				w.Header().Set("Connection", "close")
				w.Header().Set("Retry-After", "10")
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// refuseForeignHosts refuses requests whose host name is not localhost. This protects against DNS
// rebinding: a web page lets its domain name resolve to this address, and then reads the answers
// in the browser of a user.
func refuseForeignHosts(next http.Handler) http.Handler {
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
