package orca_test

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/orca"
)

func newServer(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.New(server.Config{Service: "payments", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run calls Run until the test ends.
func run(t *testing.T, s *server.Server) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
}

func set(t *testing.T, s *server.Server, status health.Status) {
	t.Helper()
	if err := s.SetStatus(status, ""); err != nil {
		t.Fatal(err)
	}
}

// backend is a server with load reports and one method, which ends with the code in its request.
type backend struct {
	grpc     *grpc.Server
	listener *bufconn.Listener
	within   func(context.Context) // called in each call; nil: nothing is called
	served   atomic.Int64
}

const method = "/payments.Payments/Pay"

func newBackend(t testing.TB, s *server.Server, r *orca.Reporter) *backend {
	t.Helper()
	b := &backend{listener: bufconn.Listen(64 << 10)}
	b.grpc = grpc.NewServer(r.ServerOptions()...)
	s.Register(b.grpc)
	if err := r.Register(b.grpc); err != nil {
		t.Fatal(err)
	}
	b.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: "payments.Payments", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Pay", Handler: b.handle}},
	}, b)
	done := make(chan struct{})
	go func() { defer close(done); _ = b.grpc.Serve(b.listener) }()
	t.Cleanup(func() { b.grpc.Stop(); <-done })
	return b
}

func (b *backend) handle(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	req := &wrapperspb.UInt32Value{}
	if err := decode(req); err != nil {
		return nil, err
	}
	return intercept(ctx, req, &grpc.UnaryServerInfo{Server: b, FullMethod: method}, func(ctx context.Context, _ any) (any, error) {
		b.served.Add(1)
		if b.within != nil {
			b.within(ctx)
		}
		return &emptypb.Empty{}, status.Error(codes.Code(req.GetValue()), "as the test wants")
	})
}

func (b *backend) dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///mem", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return b.listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// call makes a call that ends with a code.
func (b *backend) call(t testing.TB, conn *grpc.ClientConn, code codes.Code, options ...grpc.CallOption) error {
	t.Helper()
	return conn.Invoke(t.Context(), method, wrapperspb.UInt32(uint32(code)), &emptypb.Empty{}, options...)
}
