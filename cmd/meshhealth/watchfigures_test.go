package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

func TestFiguresText(t *testing.T) {
	m := &health.Metrics{
		Runs: 1, Failures: 2, ResponseTimeP50: 1200 * time.Microsecond, ResponseTimeP99: time.Second,
		Gauges: map[string]float64{"queue": 3, "heap": 1.5e9},
	}
	if got, want := figuresText(m), "1 run  2 failed  p50 1.2ms  p99 1s  heap=1.5e+09  queue=3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPrintFigures(t *testing.T) {
	var s shell
	w := newWatchPrinter(s.app(), &watchFlags{}, nil)
	all := []client.Figures{{ID: health.ID{Service: "pay", Instance: "a" + escape}, Metrics: &health.Metrics{Runs: 7}}}
	if err := w.printFigures(all, noon); err != nil || s.out.String() != "12:00:00  pay/a [31mred  7 runs  0 failed  p50 0s  p99 0s\n" {
		t.Errorf("%q, %v", s.out.String(), err)
	}
}

// measuredServer runs a server of this library on a free port.
func measuredServer(t *testing.T) (address string) {
	t.Helper()
	srv, err := server.New(server.Config{Service: "pay"})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Add(server.Check{Name: "db", Every: 100 * time.Millisecond, Run: func(context.Context) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	srv.Register(g)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { _ = srv.Run(ctx); done <- struct{}{} }()
	go func() { _ = g.Serve(l); done <- struct{}{} }()
	t.Cleanup(func() { stop(); g.Stop(); <-done; <-done })
	return l.Addr().String()
}

// TestWatchFigures prints the figures of a real server, once asked by itself and once through a
// coordinator.
func TestWatchFigures(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	address := measuredServer(t)
	l.does(0, "register", "pay/a", "--address", address)
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	for at, want := range map[string]string{l.at: `{"service":"pay","instance":"a","metrics":{"runs":"`, address: `{"service":"pay","instance":"","metrics":{"runs":"`} {
		ctx, stop := context.WithCancel(t.Context())
		var out bytes.Buffer
		s := shell{env: map[string]string{coordinatorEnv: at}}
		a := s.app()
		a.stdout = writer(func(text string) {
			out.WriteString(text)
			if strings.Contains(out.String(), want) {
				stop()
			}
		})
		if code := a.run(ctx, []string{"watch", "--figures", "1s", "--changes-only", "-o", "json"}); code != exitOK || !strings.Contains(out.String(), want) {
			t.Errorf("code %d, %s, %s", code, out.String(), s.err.String())
		}
		stop()
	}
}
