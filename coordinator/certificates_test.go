package coordinator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// secured is a coordinator on loopback with TLS. It trusts the authorities ca and old.
type secured struct {
	*coordinator.Coordinator
	t       *testing.T
	dir     string
	ca, old *nettest.Authority
	source  *certs.Source
}

// newSecured starts a coordinator that follows pay/a at an address, by TLS.
func newSecured(t *testing.T, address string) *secured {
	t.Helper()
	s := &secured{t: t, dir: t.TempDir(), ca: nettest.NewAuthority(t), old: nettest.NewAuthority(t)}
	files := certs.Files{Roots: filepath.Join(s.dir, "roots.pem")}
	files.Cert, files.Key = s.ca.Issue(s.dir, "mesh", 90*24*time.Hour)
	s.trust(s.ca, s.old)
	var err error
	if s.source, err = certs.Open(files, certs.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.source.Close)
	cfg := coordinator.Config{
		Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", Credentials: s.source.Server(), HTTPTLS: s.source.HTTP(),
		Static:       []coordinator.Target{{Service: "pay", Instance: "a", Address: address, ServerName: "pay"}},
		Certificates: []coordinator.Certificate{{Section: "tls", Source: s.source}, {Section: "dial.default", Source: s.source}},
		Logger:       slog.New(slog.DiscardHandler),
	}
	cfg.Dial.Credentials = s.source.Client(certs.Dial{})
	if s.Coordinator, err = coordinator.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// trust writes the roots of these authorities into the file of roots.
func (s *secured) trust(authorities ...*nettest.Authority) {
	s.t.Helper()
	var all []byte
	for _, a := range authorities {
		text, err := os.ReadFile(a.Roots(s.t.TempDir()))
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, text...)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "roots.pem"), all, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// client returns the TLS settings of a caller whose certificate an authority has signed.
func (s *secured) client(a *nettest.Authority) *tls.Config {
	return &tls.Config{RootCAs: s.ca.Pool(), ServerName: "mesh", Certificates: []tls.Certificate{a.Certificate("caller", time.Hour)}}
}

// watch opens a Watch of pay/a.
func (s *secured) watch(a *nettest.Authority) pb.HealthService_WatchClient {
	s.t.Helper()
	stream, err := s.tryWatch(a)
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

func (s *secured) tryWatch(a *nettest.Authority) (pb.HealthService_WatchClient, error) {
	s.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(s.client(a))))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return pb.NewHealthServiceClient(conn).Watch(s.t.Context(), &pb.WatchRequest{Selector: &pb.Selector{Services: []string{"pay"}}})
}

// until reads a Watch until pay/a has this status and cause.
func (s *secured) until(w pb.HealthService_WatchClient, want pb.Status, cause pb.Cause) (reason string) {
	s.t.Helper()
	for {
		m, err := w.Recv()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, h := range m.GetEntries() {
			if h.GetInstance() == "a" && h.GetStatus() == want && (cause == 0 || h.GetCause() == cause) {
				return h.GetReason()
			}
		}
	}
}

// recordingListener keeps all bytes that its connections read.
type recordingListener struct {
	net.Listener
	mu   sync.Mutex
	read bytes.Buffer
}

func (l *recordingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recordingConn{c, l}, nil
}

func (l *recordingListener) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.read.Bytes())
}

type recordingConn struct {
	net.Conn
	l *recordingListener
}

func (c *recordingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.l.read.Write(b[:n])
	return n, err
}

// serveTarget starts a stock server. Without creds it speaks plaintext.
func serveTarget(t *testing.T, options ...grpc.ServerOption) *recordingListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	recorded := &recordingListener{Listener: l}
	g := grpc.NewServer(options...)
	h := stock.NewServer()
	h.SetServingStatus("pay", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(g, h)
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(recorded) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return recorded
}

// TestRemovedRootEndsConnections checks that the removal of a root closes the connections of its
// peers when Reload returns: incoming over gRPC and HTTP, and outgoing to an instance.
func TestRemovedRootEndsConnections(t *testing.T) {
	authority := nettest.NewAuthority(t)
	target := serveTarget(t, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{authority.Certificate("pay", time.Hour)},
	})))
	s := newSecured(t, target.Addr().String())
	s.trust(s.ca, s.old, authority)
	if err := s.source.Reload(); err != nil {
		t.Fatal(err)
	}
	kept, ended := s.watch(s.ca), s.watch(s.old)
	s.until(kept, pb.Status_STATUS_SERVING, 0)
	s.until(ended, pb.Status_STATUS_SERVING, 0)
	page := s.page()
	before := s.source.Status().Peers
	s.trust(s.ca)
	begin := time.Now()
	if err := s.source.Reload(); err != nil {
		t.Fatal(err)
	}
	if after := s.source.Status().Peers; before != 4 || after != 1 {
		t.Errorf("%d peers before, %d after; want 4 and 1", before, after)
	}
	t.Logf("3 connections closed after %v", time.Since(begin))
	if _, err := page.Read(make([]byte, 1)); err == nil {
		t.Error("the connection over HTTP is open")
	}
	for {
		_, err := ended.Recv()
		if err == nil {
			continue // a message that was on its way
		}
		if code := status.Code(err); code != codes.Unavailable {
			t.Errorf("the Watch ends with %v", err)
		}
		break
	}
	reason := s.until(kept, pb.Status_STATUS_UNKNOWN, pb.Cause_CAUSE_TLS)
	if !strings.Contains(reason, "is signed by an authority that is not among the roots here") {
		t.Errorf("reason %q", reason)
	}
	if _, err := s.tryWatch(s.old); status.Code(err) != codes.Unavailable {
		t.Errorf("a new connection: %v", err)
	}
}

// page opens a connection over HTTP with a certificate of the old authority, and gets one page. It
// returns the open connection.
func (s *secured) page() net.Conn {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.HTTPAddr().String(), s.client(s.old))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	transport := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	resp, err := (&http.Client{Transport: transport}).Get("https://mesh/livez")
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatal(resp.Status, err)
	}
	return conn
}

// TestPlaintextTarget checks that a target that speaks plaintext gets only the begin of a TLS handshake
// from a coordinator that dials it by TLS: no preface of HTTP/2, no metadata and no name.
func TestPlaintextTarget(t *testing.T) {
	target := serveTarget(t)
	s := newSecured(t, target.Addr().String())
	reason := s.until(s.watch(s.ca), pb.Status_STATUS_UNKNOWN, pb.Cause_CAUSE_TLS)
	if !strings.Contains(reason, "does not speak TLS") {
		t.Errorf("reason %q", reason)
	}
	got := target.bytes()
	if len(got) == 0 || got[0] != 0x16 {
		t.Fatalf("the first of %d bytes is no TLS handshake", len(got))
	}
	for _, text := range []string{"PRI *", "meshhealth", "grpc", "pay/a", "application/"} {
		if bytes.Contains(got, []byte(text)) {
			t.Errorf("%q was sent in plaintext", text)
		}
	}
}

// TestCertificateMetrics checks the metrics of each section.
func TestCertificateMetrics(t *testing.T) {
	s := newSecured(t, "127.0.0.1:1")
	if err := os.WriteFile(filepath.Join(s.dir, "roots.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.source.Reload(); err == nil {
		t.Error("empty roots are used")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.client(s.ca)}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + s.HTTPAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{"tls", "dial.default"} {
		if want := fmt.Sprintf("meshhealth_certificate_read_failures_total{section=%q} 1\n", section); !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %s", want)
		}
		if want := fmt.Sprintf("meshhealth_certificate_remaining_seconds{section=%q} 7.7", section); !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %s (90 days)", want)
		}
	}
}
