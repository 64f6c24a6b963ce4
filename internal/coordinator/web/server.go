package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/httprpc"
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
	// MayScrape returns an error if the caller of a request may not read the metrics. The context has the
	// caller in the same way as that of a call. It is not asked on a listener that speaks plaintext, where no
	// caller has an identity. nil means that everybody may read them.
	MayScrape func(context.Context) error
	// IPv6Prefix is the length, in bits, of the IPv6 prefix that identifies a peer. 0
	// means wire.PeerPrefix.
	IPv6Prefix int
	// Methods are the methods that are served over HTTP. They ask the access policy themselves.
	Methods []httprpc.Method
	// NoPage switches off the page for people below /ui/.
	NoPage bool
	// Build is the version of the coordinator, which the page compares with the version that it
	// came with.
	Build string
	// Hosts are the host names that requests may use beside localhost and IP addresses.
	Hosts []string
	// Prefix is the path below which a proxy shows the coordinator, such as "/meshhealth". Empty
	// means none. Requests are answered with and without it.
	Prefix string
	// TLS has the certificates of the listener; nil means plaintext.
	TLS *tls.Config
	// Insecure means that the page and the methods are also served in plaintext beyond loopback.
	Insecure bool
}

// Server serves the HTTP pages of a coordinator.
type Server struct {
	cfg   Config
	pages pages
}

// New returns a server that accepts no connections before Serve is called.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg, pages{
		feed: cfg.Feed, mayScrape: cfg.MayScrape, metrics: newMetricsPage(cfg.Metrics, cfg.IPv6Prefix), methods: cfg.Methods,
	}}
	if cfg.NoPage {
		return s, nil
	}
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	s.pages.site, err = newSite(files, cfg.Prefix, cfg.Build, cfg.Insecure)
	return s, err
}

// Serve answers requests until ctx ends. It closes the listener, and returns when all requests have
// ended. If a connection has the method Refused() error, and the method returns an error, all
// requests on the connection are answered with this error.
//
// Streams of methods do not end by themselves. The caller must end them when ctx ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	h := &http.Server{
		Handler: s.Handler(ctx, listener.Addr()), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: wire.RequestTimeout,
		WriteTimeout: wire.SendTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: wire.MaxHeaderList,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: wire.MaxStreams, SendPingTimeout: wire.PingAfter, PingTimeout: wire.PingTimeout},
		// net/http logs what clients do wrong, such as a failed handshake. This is no news about
		// the coordinator, and anybody can cause it.
		ErrorLog: log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, countedConn(conn))
		},
	}
	if s.cfg.TLS != nil {
		listener = tls.NewListener(listener, withProtocols(s.cfg.TLS))
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

// withProtocols returns a configuration that offers HTTP/2 if it names no protocols, as ServeTLS of
// net/http does. Without this, all clients would use HTTP/1.1.
func withProtocols(cfg *tls.Config) *tls.Config {
	if len(cfg.NextProtos) > 0 {
		return cfg
	}
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"h2", "http/1.1"}
	return cfg
}

// Handler returns the handler of all requests. listenAddr is the address of the listener. After ctx
// has ended, /readyz answers DRAINING.
func (s *Server) Handler(ctx context.Context, listenAddr net.Addr) http.Handler {
	a, err := netip.ParseAddrPort(listenAddr.String())
	g := &guard{hosts: s.cfg.Hosts, open: s.cfg.Insecure, loopback: err != nil || a.Addr().IsLoopback()}
	return refuseLimited(withoutPrefix(s.cfg.Prefix, s.pages.mux(ctx, g)))
}

// connKey is the key under which the context of a request contains the connection.
type connKey struct{}

// refuseLimited returns a handler for requests on all connections. If the method Refused of the
// connection returns an error, the handler answers with this error and closes the connection.
func refuseLimited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connKey{}).(counted); ok {
			if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
				conn.Verified(r.TLS.VerifiedChains[0][0])
			}
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

// withoutPrefix returns a handler that removes the prefix from the path of a request, if the path has
// it. Some proxies remove the prefix, and others pass it on.
func withoutPrefix(prefix string, next http.Handler) http.Handler {
	if prefix == "" {
		return next
	}
	stripped := http.StripPrefix(prefix, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix+"/") {
			stripped.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
