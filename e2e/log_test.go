//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"

	"github.com/meshhealth/meshhealth/client"
)

// TestNobodyReadsStandardError runs a coordinator whose stderr is a full pipe that nobody reads.
// The coordinator must still publish changes, and end after SIGTERM.
func TestNobodyReadsStandardError(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(bin+"/meshhealth", "coordinator", "--memory", "--listen", "127.0.0.1:0", "--http", "off")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	w.Close()
	first := bufio.NewReaderSize(r, 16) // a small buffer, so that the rest stays in the pipe
	line, err := first.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var listening struct{ GRPC string }
	if err := json.Unmarshal(line, &listening); err != nil {
		t.Fatal(err)
	}

	lis, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	target, srv := health.NewServer(), grpc.NewServer()
	healthpb.RegisterHealthServer(srv, target)
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()
	c, err := client.New(client.Config{Coordinator: listening.GRPC})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	target.SetServingStatus("payments", healthpb.HealthCheckResponse_SERVING)
	// Each service logs its first transitions. Together these are more lines than a pipe holds.
	const services = 500
	for i := range services {
		// The address may be that of the listener ("[::]:PORT"), and Instance may be empty.
		one := client.Instance{Service: fmt.Sprintf("s%d", i), HealthName: "payments", Address: lis.Addr().String()}
		if _, err := c.Register(ctx, one); err != nil {
			t.Fatal(err)
		}
	}
	becomes := func(want pb.Status) {
		for i := range services {
			for got := pb.Status_STATUS_UNKNOWN; got != want; {
				m, err := pb.NewHealthServiceClient(c.Conn()).Check(ctx, &pb.CheckRequest{Service: fmt.Sprintf("s%d", i)})
				if err != nil {
					t.Fatalf("s%d does not become %v: %v", i, want, err)
				}
				got = m.GetStatus()
			}
		}
	}
	becomes(pb.Status_STATUS_SERVING)
	target.SetServingStatus("payments", healthpb.HealthCheckResponse_NOT_SERVING)
	becomes(pb.Status_STATUS_NOT_SERVING)
	target.SetServingStatus("payments", healthpb.HealthCheckResponse_SERVING)
	becomes(pb.Status_STATUS_SERVING)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with: %v", err)
		}
	case <-time.After(patience):
		t.Error("SIGTERM does not end it")
	}
}
