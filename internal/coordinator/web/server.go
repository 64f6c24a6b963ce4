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

// limited is a connection that knows whether it exceeds a limit on the number of connections.
type limited interface {
	// Refused returns an error that names the exceeded limit, or nil.
	Refused() error
}

// Serve answers requests until ctx ends. It closes the listener, and returns when all requests have
// ended. If a connection has the method Refused() error, and the method returns an error, all
// requests on the connection are answered with this error.
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

// Handler returns the handler of all requests. listenAddr is the address of the listener. After ctx
// has ended, /readyz answers DRAINING.
func (s *Server) Handler(ctx context.Context, listenAddr net.Addr) http.Handler {
	mux := s.pages.mux(ctx)
	if a, err := netip.ParseAddrPort(listenAddr.String()); err == nil && !a.Addr().IsLoopback() {
		return refuseLimited(mux) // not on loopback: other machines may reach the listener under any host name
	}
	return refuseLimited(refuseForeignHosts(mux))
}

// connKey is the key under which the context of a request contains the connection.
type connKey struct{}

// refuseLimited returns a handler for requests on all connections. If the method Refused of the
// connection returns an error, the handler answers with this error and closes the connection.
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

// refuseForeignHosts returns a handler that refuses requests whose host is neither localhost nor an
// IP address. This protects against DNS rebinding. In such an attack, the domain name of a web page
// resolves to the address of this listener. The page could then read the answers in the browser of
// a user.
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
