package metrics

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"
)

// called is one server and one connection to it, both measured.
type called struct {
	rig    *rig // of the registry only
	server *ServerCalls
	grpc   *grpc.Server
	conn   *grpc.ClientConn
}

// newCalled must be called in a bubble.
func newCalled(t *testing.T) *called {
	c := &called{rig: &rig{t: t, registry: prometheus.NewPedanticRegistry()}, server: ServerMetrics()}
	client := ClientMetrics()
	c.rig.registry.MustRegister(c.server, client)
	c.grpc = grpc.NewServer(grpc.ChainUnaryInterceptor(c.server.Unary()), grpc.ChainStreamInterceptor(c.server.Stream()))
	healthpb.RegisterHealthServer(c.grpc, grpchealth.NewServer())
	listener := bufconn.Listen(1 << 16)
	go c.grpc.Serve(listener)
	var err error
	c.conn, err = grpc.NewClient("passthrough:///in-memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(client.Unary()), grpc.WithChainStreamInterceptor(client.Stream()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *called) close() {
	c.conn.Close()
	c.grpc.Stop()
}

// TestCalls: a Watch of an hour is counted, and the histograms hold only what
// was asked and answered.
func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled(t)
		defer c.close()
		client := healthpb.NewHealthClient(c.conn)
		for _, service := range []string{"", "unheard of"} {
			_, _ = client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		}
		watching, hangUp := context.WithCancel(t.Context())
		stream, err := client.Watch(watching, &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		hangUp()
		_, _ = stream.Recv()
		synctest.Wait()
		for side, streamed := range map[string]string{"server": "sent", "client": "received"} {
			const check = `grpc_method="Check",grpc_service="grpc.health.v1.Health",grpc_type="unary"`
			const watch = `grpc_method="Watch",grpc_service="grpc.health.v1.Health",grpc_type="server_stream"`
			name := func(s string) string { return "grpc_" + side + "_" + s }
			c.is(name("started_total"), check, 2, watch, 1)
			c.is(name("msg_"+streamed+"_total"), check, 1, watch, 1)
			c.is(name("handled_total"), `grpc_code="NotFound",`+check, 1, `grpc_code="OK",`+check, 1, `grpc_code="Canceled",`+watch, 1)
			if n := sampleCount(t, c.rig.registry, name("handling_seconds")); n != 2 {
				t.Errorf("%s: %d calls were timed, want 2", side, n)
			}
		}
		c.rig.lints()
	})
}

// is compares samples with pairs of labels and a value.
func (c *called) is(name string, pairs ...any) {
	c.rig.t.Helper()
	text, err := testutil.GatherAndFormat(c.rig.registry, expfmt.TypeTextPlain, name)
	if err != nil {
		c.rig.t.Fatal(err)
	}
	var want strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&want, "%s{%s} %d\n", name, pairs[i], pairs[i+1])
	}
	if got, want := samples(string(text)), samples(want.String()); got != want {
		c.rig.t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}

// TestInitialize: every method and code has its series, once; streams have none
// in the histogram.
func TestInitialize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled(t)
		defer c.close()
		c.server.Initialize(c.grpc)
		for name, want := range map[string]int{
			"grpc_server_started_total":    3,      // Check, List, Watch
			"grpc_server_handled_total":    3 * 17, // codes
			"grpc_server_handling_seconds": 2,
		} {
			if n, err := testutil.GatherAndCount(c.rig.registry, name); n != want || err != nil {
				t.Errorf("%s: %d series, want %d; %v", name, n, want, err)
			}
		}
		c.rig.lints()
	})
}

// TestUnknownMethod: callers cannot make labels up.
func TestUnknownMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled(t)
		defer c.close()
		for _, method := range []string{"/made.up/Method", "/grpc.health.v1.Health/MadeUp"} {
			if err := c.conn.Invoke(t.Context(), method, &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{}); err == nil {
				t.Errorf("%s: no error", method)
			}
		}
		c.is("grpc_server_started_total")
		c.is("grpc_server_handled_total")
	})
}

// TestNothingByImport: the default registry is left to others.
func TestNothingByImport(t *testing.T) {
	for _, c := range []prometheus.Collector{ServerMetrics(), ClientMetrics()} {
		if err := prometheus.Register(c); err != nil {
			t.Error(err)
		}
		prometheus.Unregister(c)
	}
}
