package compat

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	archived "github.com/grpc-ecosystem/go-grpc-prometheus"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/internal/coordinator/metrics"
)

// peer has the server and client metrics of one library, and the registry that collects them.
type peer struct {
	registry   *prometheus.Registry
	server     []grpc.ServerOption
	client     []grpc.DialOption
	initialize func(*grpc.Server)
}

func newPeer(collectors ...prometheus.Collector) *peer {
	p := &peer{registry: prometheus.NewPedanticRegistry()}
	p.registry.MustRegister(collectors...)
	return p
}

func newArchived() *peer {
	server, client := archived.NewServerMetrics(), archived.NewClientMetrics()
	server.EnableHandlingTimeHistogram()
	client.EnableClientHandlingTimeHistogram()
	p := newPeer(server, client)
	p.server = serverOptions(server.UnaryServerInterceptor(), server.StreamServerInterceptor())
	p.client = dialOptions(client.UnaryClientInterceptor(), client.StreamClientInterceptor())
	p.initialize = server.InitializeMetrics
	return p
}

func newProvider() *peer {
	server := provider.NewServerMetrics(provider.WithServerHandlingTimeHistogram())
	client := provider.NewClientMetrics(provider.WithClientHandlingTimeHistogram())
	p := newPeer(server, client)
	p.server = serverOptions(server.UnaryServerInterceptor(), server.StreamServerInterceptor())
	p.client = dialOptions(client.UnaryClientInterceptor(), client.StreamClientInterceptor())
	p.initialize = func(s *grpc.Server) { server.InitializeMetrics(s) }
	return p
}

func newOurs() *peer {
	server, client := metrics.ServerMetrics(), metrics.ClientMetrics()
	p := newPeer(server, client)
	p.server = serverOptions(server.Unary(), server.Stream())
	p.client = dialOptions(client.Unary(), client.Stream())
	p.initialize = func(s *grpc.Server) { server.Initialize(s) }
	return p
}

func serverOptions(u grpc.UnaryServerInterceptor, s grpc.StreamServerInterceptor) []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(u), grpc.ChainStreamInterceptor(s)}
}

func dialOptions(u grpc.UnaryClientInterceptor, s grpc.StreamClientInterceptor) []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(u), grpc.WithChainStreamInterceptor(s)}
}

// rig is one gRPC server and one connection to it. All three libraries measure both.
type rig struct {
	t                        *testing.T
	archived, provider, ours *peer
	server                   *grpc.Server
	client                   pb.TestServiceClient
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, archived: newArchived(), provider: newProvider(), ours: newOurs()}
	listener := bufconn.Listen(1 << 16)
	dial := []grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	}
	var serve []grpc.ServerOption
	for _, p := range r.peers() {
		serve, dial = append(serve, p.server...), append(dial, p.client...)
	}
	r.server = grpc.NewServer(serve...)
	pb.RegisterTestServiceServer(r.server, service{})
	go r.server.Serve(listener)
	t.Cleanup(r.server.Stop)
	conn, err := grpc.NewClient("passthrough:///in-memory", dial...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r.client = pb.NewTestServiceClient(conn)
	return r
}

func (r *rig) peers() []*peer { return []*peer{r.archived, r.provider, r.ours} }

// samples maps each series, such as `name{label="value"}`, to its value. The value of a histogram
// is the number of observations, since the times vary.
func (r *rig) samples(p *peer) map[string]float64 {
	r.t.Helper()
	all := map[string]float64{}
	for _, f := range r.gather(p) {
		for _, m := range f.GetMetric() {
			all[series(f.GetName(), m.GetLabel())] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func (r *rig) gather(p *peer) []*dto.MetricFamily {
	r.t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	return families
}

func series(name string, labels []*dto.LabelPair) string {
	var pairs []string
	for _, l := range labels {
		pairs = append(pairs, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	return name + "{" + strings.Join(pairs, ",") + "}"
}

// differences returns one line for each series whose values in the two peers differ.
func (r *rig) differences(old, now *peer) []string {
	r.t.Helper()
	before, after := r.samples(old), r.samples(now)
	both := maps.Clone(before)
	maps.Copy(both, after)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(both)) {
		b, had := before[name]
		a, has := after[name]
		if had != has || a != b {
			lines = append(lines, fmt.Sprintf("%s: %s, was %s", name, value(a, has), value(b, had)))
		}
	}
	return lines
}

func value(v float64, is bool) string {
	if !is {
		return "absent"
	}
	return fmt.Sprint(v)
}

// expect requires that the differences got are the known differences want.
func (r *rig) expect(what string, got, want []string) {
	r.t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		r.t.Errorf("%s: the differences are\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
