package coordinator

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// asker is a connection that requests pages.
type asker struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func newAsker(t *testing.T, at string) *asker {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &asker{t, c, bufio.NewReader(c)}
}

func (a *asker) get() (code int, body string, closes bool) {
	a.t.Helper()
	if _, err := fmt.Fprintf(a.c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		a.t.Fatal(err)
	}
	resp, err := http.ReadResponse(a.r, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Close
}

// HTTP and gRPC connections are counted together, and one beyond the limit is refused.
func TestConnectionsOfBothPorts(t *testing.T) {
	c := running(t, Config{MaxConnsPerPeer: 2})
	first := newAsker(t, c.HTTPAddr().String())
	if code, body, _ := first.get(); code != 200 {
		t.Fatal(code, body)
	}
	conn, err := grpc.NewClient(c.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	const says = "2 connections are open from 127.0.0.1, the most one peer may have"
	code, body, closes := newAsker(t, c.HTTPAddr().String()).get()
	if code != http.StatusServiceUnavailable || !strings.Contains(body, says) || !closes {
		t.Errorf("a third one gets %d %q, closed: %v", code, body, closes)
	}
	second, err := grpc.NewClient(c.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	_, err = healthpb.NewHealthClient(second).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), says) {
		t.Errorf("another over gRPC gets %v", err)
	}
	if code, body, _ := first.get(); code != 200 {
		t.Errorf("the first one now gets %d %q", code, body)
	}
}
