//go:build e2e || soak

package xds

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// backend is an instance of a service. It has a gRPC server for calls, and the embedded server for its
// health on another port.
type backend struct {
	t      *testing.T
	id     health.ID
	health *server.Server
	calls  *grpc.Server
	proxy  *proxy // between the coordinator and the port for health
	access access

	mu    sync.Mutex
	since time.Time // when the backend became unusable; zero while it is usable
	// last has the time from since to the last call of each stack.
	last map[string]time.Duration
	late map[string][]time.Duration // last, of earlier times in which the backend was unusable
}

// backendConfig says how a backend is registered. The zero value is a registration with defaults.
type backendConfig struct {
	region, zone string
	weight       uint32
	tls          *tls.Certificate // nil means no TLS
	names        []string         // names of the certificate that clients are told
	refuses      bool             // the health is refused from the start
	feed         bool             // the backend pushes its status while the coordinator cannot reach it
	lease        time.Duration    // TTL of the lease; 0 means the default
}

// startBackend starts a backend, and registers it with a client.
func startBackend(t *testing.T, mesh *client.Client, name string, cfg backendConfig) *backend {
	t.Helper()
	b := &backend{t: t, id: health.ParseID(name), access: access{changed: make(chan struct{}), refused: cfg.refuses}}
	var err error
	if b.health, err = server.New(server.Config{Service: b.id.Service, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	at := b.serveHealth()
	b.proxy = startProxy(t, at)
	instance := client.Instance{
		Service: b.id.Service, Instance: b.id.Instance, Address: b.proxy.address(), Region: cfg.region, Zone: cfg.zone, TTL: cfg.lease,
		Traffic: health.Traffic{Address: b.serveCalls(cfg.tls), Weight: cfg.weight, TLSNames: cfg.names},
	}
	if cfg.feed {
		instance.Feed = b.health.Feed()
	}
	mesh.RegisterAsync(instance)
	return b
}

// serveHealth starts the embedded server, and returns its address.
func (b *backend) serveHealth() string {
	g := grpc.NewServer(append(b.health.ServerOptions(),
		grpc.ChainUnaryInterceptor(b.access.unary), grpc.ChainStreamInterceptor(b.access.stream))...)
	b.health.Register(g)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() { _ = b.health.Run(ctx) })
	l := listen(b.t)
	wg.Go(func() { _ = g.Serve(l) })
	b.t.Cleanup(func() {
		cancel()
		g.Stop()
		wg.Wait()
	})
	return l.Addr().String()
}

// serveCalls starts the server for calls, and returns its address.
func (b *backend) serveCalls(certificate *tls.Certificate) string {
	creds := insecure.NewCredentials()
	if certificate != nil {
		creds = credentials.NewServerTLSFromCert(certificate)
	}
	b.calls = grpc.NewServer(grpc.Creds(creds))
	b.calls.RegisterService(&grpc.ServiceDesc{
		ServiceName: "meshhealth.test.Namer", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Name", Handler: b.handleName}},
	}, b)
	l := listen(b.t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.calls.Serve(l)
	}()
	b.t.Cleanup(func() {
		b.calls.Stop()
		<-done
	})
	return l.Addr().String()
}

// handleName answers a call with the name of the backend.
func (b *backend) handleName(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	if err := decode(&emptypb.Empty{}); err != nil {
		return nil, err
	}
	b.noteCall(ctx)
	return &wrapperspb.StringValue{Value: b.id.Instance}, nil
}

// agents has the start of the header user-agent of each stack.
var agents = map[string]string{"grpc-go": "grpc-go", "grpc-js": "grpc-node-js", "C-core": "grpc-python"}

// noteCall notes a call while the backend is unusable.
func (b *backend) noteCall(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() {
		return
	}
	if b.last == nil {
		b.last = map[string]time.Duration{}
	}
	for stack, agent := range agents {
		if header := metadata.ValueFromIncomingContext(ctx, "user-agent"); len(header) > 0 && strings.HasPrefix(header[0], agent) {
			b.last[stack] = time.Since(b.since)
		}
	}
}

// noteStatus begins or ends a time in which the backend is unusable.
func (b *backend) noteStatus(usable bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late == nil {
		b.late = map[string][]time.Duration{}
	}
	switch {
	case !usable && b.since.IsZero():
		b.since = time.Now()
	case usable && !b.since.IsZero():
		for stack, d := range b.last {
			b.late[stack] = append(b.late[stack], d)
		}
		b.since, b.last = time.Time{}, nil
	}
}

// lateness returns when a stack has called the backend last after it became unusable. It has an element
// for each time in which there was such a call.
func (b *backend) lateness(stack string) []time.Duration {
	b.noteStatus(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.late[stack]
}

// set sets the status of the backend.
func (b *backend) set(s health.Status) {
	b.t.Helper()
	b.noteStatus(s == health.Serving || s == health.Degraded)
	if err := b.health.SetStatus(s, "the test says so"); err != nil {
		b.t.Fatal(err)
	}
}

// drain makes the backend DRAINING for ever. It still answers calls.
func (b *backend) drain() {
	if err := b.health.Drain(b.t.Context()); err != nil {
		b.t.Error(err)
	}
}

// access refuses the callers of the health service, if a test wants it. The status is then UNKNOWN.
type access struct {
	mu      sync.Mutex
	refused bool
	changed chan struct{} // closed when refused changes
}

var errRefused = status.Error(codes.PermissionDenied, "the test refuses all callers")

func (a *access) refuse(refused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = refused
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *access) look() (refused bool, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused, a.changed
}

func (a *access) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if refused, _ := a.look(); refused {
		return nil, errRefused
	}
	return handler(ctx, req)
}

// stream also ends the stream when the access is refused later.
func (a *access) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	refused, changed := a.look()
	if refused {
		return errRefused
	}
	ctx, cancel := context.WithCancelCause(ss.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-changed:
			cancel(errRefused)
		case <-ctx.Done():
		}
	}()
	err := handler(srv, boundToContext{ss, ctx})
	if context.Cause(ctx) == errRefused {
		return errRefused
	}
	return err
}

type boundToContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s boundToContext) Context() context.Context { return s.ctx }

// startBackends starts backends of a service. The first has the name b and the number from.
func startBackends(t *testing.T, mesh *client.Client, service string, from int, configs ...backendConfig) []*backend {
	t.Helper()
	var all []*backend
	for i, cfg := range configs {
		all = append(all, startBackend(t, mesh, service+"/b"+strconv.Itoa(from+i), cfg))
	}
	return all
}
