package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/server"
)

// protected is a buffer that several goroutines may write to.
type protected struct {
	mu sync.Mutex
	bytes.Buffer
}

func (p *protected) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Buffer.Write(b)
}

func (p *protected) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.String()
}

// embedded starts an embedded server on a free port.
func embedded(t *testing.T, service string) (s *server.Server, address string) {
	t.Helper()
	s, err := server.New(server.Config{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	s.Register(g)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	running.Go(func() { _ = g.Serve(listener) })
	t.Cleanup(func() { g.Stop(); stop(); running.Wait() })
	return s, listener.Addr().String()
}

// TestKeysArePublishedNowhere looks for the key of a registration in all output of a
// coordinator with a store: calls, commands, metrics and logs.
func TestKeysArePublishedNowhere(t *testing.T) {
	var log protected
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l := newLive(t, coordinator.Config{DataDir: t.TempDir(), HTTP: "127.0.0.1:0", Logger: logger})
	s, address := embedded(t, "pay")
	c, err := client.New(client.Config{Coordinator: l.at, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reg, err := c.Register(t.Context(), client.Instance{Service: "pay", Instance: "1", Address: address, Feed: s.Feed()})
	if err != nil {
		t.Fatal(err)
	}
	l.becomes("pay/1", pb.Status_STATUS_SERVING)

	said := map[string]string{}
	note := func(what string, m proto.Message, err error) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		said[what] = string(raw) + fmt.Sprint(m)
	}
	ctx := t.Context()
	mesh, admin, leases := pb.NewHealthServiceClient(c.Conn()), pb.NewAdminServiceClient(c.Conn()), pb.NewRegistryServiceClient(c.Conn())
	watch, err := mesh.Watch(ctx, &pb.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	watched, err := watch.Recv()
	note("Watch", watched, err)
	check, err := mesh.Check(ctx, &pb.CheckRequest{Service: "pay/1"})
	note("Check", check, err)
	list, err := mesh.List(ctx, &pb.ListRequest{})
	note("List", list, err)
	explain, err := admin.Explain(ctx, &pb.ExplainRequest{Name: "pay/1"})
	note("Explain", explain, err)
	history, err := admin.ListTransitions(ctx, &pb.ListTransitionsRequest{})
	note("history", history, err)
	state, err := admin.GetCoordinator(ctx, &pb.GetCoordinatorRequest{})
	note("state", state, err)
	key := s.Feed().Key().Bytes()
	_, err = leases.Register(ctx, &pb.RegisterRequest{Registrations: []*pb.Registration{{
		Service: "pay", Instance: "1", Address: address, Incarnation: check.GetHealth().GetIncarnation(),
		Key: bytes.Repeat([]byte{1}, len(key)),
	}}})
	if err == nil {
		t.Error("a published incarnation is enough to register again")
	}
	said["refusal"] = fmt.Sprint(err)
	for _, command := range [][]string{
		{"status", "--all"}, {"explain", "pay/1"}, {"history", "pay/1"}, {"coordinator", "state"},
	} {
		command = append(command, "-o", "json")
		out, _, code := l.run(ctx, command...)
		if code != exitOK || out == "" {
			t.Errorf("%v: code %d, %q, %s", command, code, out, l.err.String())
		}
		said[strings.Join(command, " ")] = out
	}
	resp, err := http.Get("http://" + l.c.HTTPAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	said["metrics"] = string(metrics)
	if err := reg.Close(ctx); err != nil {
		t.Fatal(err)
	}
	said["log"] = log.text()

	for what, text := range said {
		if about := !strings.Contains(what, "state"); about && !strings.Contains(text, "pay") {
			t.Errorf("%s says nothing of the service: %q", what, text)
		}
		for form, secret := range map[string]string{
			"raw": string(key), "hex": hex.EncodeToString(key), "base64": strings.TrimRight(base64.StdEncoding.EncodeToString(key), "="),
			"base64url": base64.RawURLEncoding.EncodeToString(key), "decimal": strings.Trim(fmt.Sprint(key), "[]"),
		} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				t.Errorf("%s has the key in it, %s", what, form)
			}
		}
	}
}
