package check_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/check"
)

// show runs a check once and prints its outcome.
func show(run check.Func) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := run(ctx)
	fmt.Println(machine.EvidenceOf(err), err)
}

// The checks of a service use the clients that the service already has.
func Example() {
	var (
		db     *sql.DB          // from sql.Open
		orders *grpc.ClientConn // from grpc.NewClient
		jobs   = check.NewHeartbeat()
	)
	s, err := server.New(server.Config{Service: "payments"})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.Add(
		server.Check{Name: "db", Run: check.SQL(db)},
		server.Check{Name: "orders", Run: check.GRPC(orders, "orders"), OnFail: server.Degrade},
		server.Check{Name: "jobs", Run: jobs.Check(30 * time.Second), Kind: server.Liveness},
		server.Check{Name: "disk", Run: check.DiskFree("/", check.AtLeast(10, 2)), Every: time.Minute},
	)
	fmt.Println(len(s.Checks()), err)
	// Output: 4 <nil>
}

func ExampleGauge() {
	length := func(context.Context) (float64, error) { return 1200, nil }
	show(check.Gauge(length, "jobs", check.AtMost(1000, 5000)))
	// Output: warn 1200 jobs, more than 1000 jobs
}

func ExampleHeartbeat() {
	hb := check.NewHeartbeat()
	go func() {
		hb.Beat() // in each iteration of the loop
	}()
	show(hb.Check(30 * time.Second))
	// Output: pass <nil>
}

func ExampleSQL() {
	show(check.SQL(pinger{}))
	// Output: pass <nil>
}

func ExamplePing() {
	show(check.Ping(pinger{err: errDown}))
	// Output: fail down
}

func ExampleRedis() {
	show(check.Redis(redisClient{}))
	// Output: pass <nil>
}

func ExampleOpen() {
	show(check.Open(pinger{err: errDown}))
	// Output: fail the connection is closed
}

func ExampleConnected() {
	show(check.Connected(pinger{err: errDown}))
	// Output: fail not connected
}

func ExampleHTTP() {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	show(check.HTTP(s.Client(), s.URL))
	show(check.HTTP(s.Client(), s.URL, http.StatusNotFound))
	// Output:
	// fail HTTP 404 Not Found
	// pass <nil>
}

func ExampleTCP() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	show(check.TCP(l.Addr().String()))
	// Output: pass <nil>
}

func ExampleDNS() {
	show(check.DNS(nil, "localhost"))
	// Output: pass <nil>
}

func ExampleDiskFree() {
	show(check.DiskFree(os.TempDir(), check.AtLeast(0, 0)))
	// Output: pass <nil>
}

func ExampleWritable() {
	show(check.Writable(os.TempDir()))
	// Output: pass <nil>
}

func ExampleMemory() {
	show(check.Memory(check.AtMost(1000, 1000)))
	// Output: pass <nil>
}

func ExampleGoroutines() {
	show(check.Goroutines(check.AtMost(10_000, 100_000)))
	// Output: pass <nil>
}

func ExampleGCPause() {
	show(check.GCPause(time.Minute, time.Hour))
	// Output: pass <nil>
}

func ExampleCertFile() {
	show(check.CertFile("no/such/cert.pem", 0))
	// Output: fail open no/such/cert.pem: no such file or directory
}

func ExampleGRPC() {
	var conn *grpc.ClientConn // from grpc.NewClient; the service calls orders with it
	c := server.Check{Name: "orders", Run: check.GRPC(conn, "orders.v1.Orders"), OnFail: server.Degrade}
	fmt.Println(c.Name)
	// Output: orders
}
