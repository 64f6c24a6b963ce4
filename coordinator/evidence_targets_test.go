package coordinator_test

import (
	"context"
	"encoding/binary"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

const (
	isServing    = healthpb.HealthCheckResponse_SERVING
	isNotServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// serve runs a gRPC server at an address until kill is called or the test ends.
func (r *rig) serve(address string, register func(*grpc.Server), options ...grpc.ServerOption) (kill func()) {
	g := grpc.NewServer(options...)
	register(g)
	l := r.net.Listen(address)
	var running sync.WaitGroup
	running.Go(func() { _ = g.Serve(l) })
	kill = sync.OnceFunc(func() {
		r.net.Kill(address)
		g.Stop()
		running.Wait()
	})
	r.t.Cleanup(kill)
	return kill
}

// stock runs the health server of grpc-go, which knows "" and these names.
func (r *rig) stock(address string, names []string, options ...grpc.ServerOption) (*stock.Server, func()) {
	s := stock.NewServer()
	for _, n := range names {
		s.SetServingStatus(n, isServing)
	}
	return s, r.serve(address, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) }, options...)
}

// embedded runs an embedded server that is SERVING.
func (r *rig) embedded(address, service string, options ...grpc.ServerOption) (*server.Server, func()) {
	r.t.Helper()
	s, err := server.New(server.Config{Service: service, ShowReasons: func(context.Context) bool { return true }})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := s.SetStatus(health.Serving, ""); err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	kill := r.serve(address, func(g *grpc.Server) { s.Register(g) }, options...)
	killed := sync.OnceFunc(func() { kill(); stop(); <-ended })
	r.t.Cleanup(killed)
	return s, killed
}

// set changes the status of an embedded server.
func (r *rig) set(s *server.Server, to health.Status) {
	r.t.Helper()
	if err := s.SetStatus(to, "the test says so"); err != nil {
		r.t.Fatal(err)
	}
}

// join registers an instance with the client library, which renews its lease until leave is
// called. After that the client is silent, as after a kill.
func (r *rig) join(i client.Instance) (leave func()) {
	r.t.Helper()
	c := r.newClient()
	if i.Service == "" {
		i.Service, i.Instance = "pay", "a"
	}
	if i.Address == "" {
		i.Address = at
	}
	if _, err := c.Register(r.t.Context(), i); err != nil {
		r.t.Fatal(err)
	}
	return func() { _ = c.Close() }
}

// lease registers an instance. Its lease is not renewed.
func (r *rig) lease(i *pb.Registration) *pb.Lease {
	r.t.Helper()
	if i.GetService() == "" {
		i.Service, i.Instance = "pay", "a"
	}
	if i.GetAddress() == "" {
		i.Address = at
	}
	if i.GetIncarnation() == "" && !i.GetStatic() {
		i.Incarnation = "first"
	}
	resp, err := r.registry.Register(r.t.Context(), &pb.RegisterRequest{Registrations: []*pb.Registration{i}})
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.GetLeases()[0]
}

// static registers pay/a at an address without a lease.
func (r *rig) static(protocol health.Protocol) {
	r.t.Helper()
	r.lease(&pb.Registration{Static: true, Protocol: protocol.String()})
}

// renew renews a lease, and returns whether its client is asked to report.
func (r *rig) renew(l *pb.Lease) (report bool) {
	r.t.Helper()
	resp, err := r.registry.Renew(r.t.Context(), &pb.RenewRequest{Service: l.GetService(), Instance: l.GetInstance(), LeaseId: l.GetLeaseId()})
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.GetUnreachable()
}

// renewing renews a lease every 10 s for a while.
func (r *rig) renewing(l *pb.Lease, d time.Duration) {
	r.t.Helper()
	for ; d > 0; d -= 10 * time.Second {
		r.renew(l)
		r.after(min(d, 10*time.Second))
	}
}

// stub is a health service whose Check answers as a test says. It has no Watch unless watch
// is set.
type stub struct {
	healthpb.UnimplementedHealthServer
	check atomic.Pointer[checkFunc]
	watch func(watchStream) error
}

type (
	checkFunc   func(ctx context.Context, name string) (healthpb.HealthCheckResponse_ServingStatus, error)
	watchStream = grpc.ServerStreamingServer[healthpb.HealthCheckResponse]
)

// newStub returns a stub that is SERVING.
func newStub() *stub {
	s := &stub{}
	s.says(isServing)
	return s
}

func (s *stub) register(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) }

func (s *stub) answers(f checkFunc) { s.check.Store(&f) }

func (s *stub) says(status healthpb.HealthCheckResponse_ServingStatus) {
	s.answers(func(context.Context, string) (healthpb.HealthCheckResponse_ServingStatus, error) { return status, nil })
}

// Check implements grpc.health.v1.
func (s *stub) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	said, err := (*s.check.Load())(ctx, r.GetService())
	if err != nil {
		return nil, err
	}
	return &healthpb.HealthCheckResponse{Status: said}, nil
}

// Watch implements grpc.health.v1.
func (s *stub) Watch(r *healthpb.HealthCheckRequest, stream watchStream) error {
	if s.watch == nil {
		return s.UnimplementedHealthServer.Watch(r, stream)
	}
	return s.watch(stream)
}

// gate is an interceptor that answers every call with a gRPC status while it is shut.
type gate struct {
	code codes.Code
	shut atomic.Bool
}

func (g *gate) err() error {
	if g.shut.Load() {
		return status.Error(g.code, "health: db not ok")
	}
	return nil
}

func (g *gate) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := g.err(); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g *gate) stream(s any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := g.err(); err != nil {
		return err
	}
	return next(s, stream)
}

// handler is an HTTP/2 server in plaintext. It answers calls of Check as a test says, also in
// ways that grpc-go servers do not. It has no other method.
type handler struct {
	answer atomic.Pointer[http.HandlerFunc]
}

// handle runs a handler at an address. It is SERVING at first.
func (r *rig) handle(address string) *handler {
	h := &handler{}
	h.serves()
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	l := r.net.Listen(address)
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(l) })
	r.t.Cleanup(func() {
		r.net.Kill(address)
		_ = s.Close()
		running.Wait()
	})
	return h
}

func (h *handler) answers(f http.HandlerFunc) { h.answer.Store(&f) }

func (h *handler) serves() {
	h.answers(func(w http.ResponseWriter, _ *http.Request) { reply(w, "0", serving()) })
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != healthpb.Health_Check_FullMethodName {
		reply(w, "12")
		return
	}
	(*h.answer.Load())(w, r)
}

// reply answers a call with messages and a status.
func reply(w http.ResponseWriter, status string, messages ...[]byte) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.WriteHeader(http.StatusOK)
	for _, m := range messages {
		_, _ = w.Write(m)
	}
	w.Header().Set("Grpc-Status", status)
}

// framed returns a message with its gRPC frame header.
func framed(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload))), payload...)
}

// serving is an encoded message with the status SERVING.
func serving() []byte {
	b, err := proto.Marshal(&healthpb.HealthCheckResponse{Status: isServing})
	if err != nil {
		panic(err)
	}
	return framed(b)
}
