package resolver_test

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/client/resolver"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/server"
)

// TestLoopback makes a call over TCP, with the default dialer of gRPC. The call waits until the
// instance is registered.
func TestLoopback(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := coordinator.New(t.Context(), coordinator.Config{
		Listen: "127.0.0.1:0", HTTP: coordinator.Off, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	running := startAll(t, func(ctx context.Context) { _ = c.Run(ctx) })
	defer running()

	srv, err := server.New(server.Config{Service: "pay"})
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	srv.Register(g)
	g.RegisterService(&who, "a")
	serving := startAll(t, func(ctx context.Context) { _ = srv.Run(ctx) }, func(context.Context) { _ = g.Serve(listener) })
	defer serving()
	defer g.Stop()

	mesh, err := client.New(client.Config{Coordinator: c.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mesh.Close() }()
	res, err := resolver.New(mesh, resolver.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("meshhealth:///pay", grpc.WithResolvers(res),
		grpc.WithDefaultServiceConfig(resolver.ServiceConfig), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	conn.Connect()
	mesh.RegisterAsync(client.Instance{Service: "pay", Instance: "a", Address: listener.Addr().String(), Feed: srv.Feed()})
	var out wrapperspb.StringValue
	if err := conn.Invoke(t.Context(), "/test.Who/Ask", &emptypb.Empty{}, &out, grpc.WaitForReady(true)); err != nil || out.GetValue() != "a" {
		t.Errorf("the call returns %q, %v", out.GetValue(), err)
	}
}

// startAll starts functions. The returned function ends their context and waits for them.
func startAll(t *testing.T, all ...func(context.Context)) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	for _, f := range all {
		go func() { f(ctx); done <- struct{}{} }()
	}
	return func() {
		cancel()
		for range all {
			<-done
		}
	}
}
