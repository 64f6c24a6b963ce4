package compat

import (
	"fmt"
	"slices"
	"testing"

	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	archived "github.com/grpc-ecosystem/go-grpc-prometheus"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/meshhealth/meshhealth/internal/coordinator/metrics"
)

const notFound = int32(codes.NotFound)

// The labels of the methods that the tests call.
const (
	unaryCall = `grpc_method="UnaryCall",grpc_service="grpc.testing.TestService",grpc_type="unary"`
	outCall   = `grpc_method="StreamingOutputCall",grpc_service="grpc.testing.TestService",grpc_type="server_stream"`
	inCall    = `grpc_method="StreamingInputCall",grpc_service="grpc.testing.TestService",grpc_type="client_stream"`
	bidiCall  = `grpc_method="FullDuplexCall",grpc_service="grpc.testing.TestService",grpc_type="bidi_stream"`
)

// TestSame compares the values of the archived library with those of its successor. The table
// has every line in which they may differ.
func TestSame(t *testing.T) {
	for _, c := range []struct {
		name    string
		calls   []call
		differs []string
	}{
		{"unary", []call{unary(0), unary(0)}, []string{
			`grpc_client_msg_received_total{` + unaryCall + `}: 2, was absent`,
		}},
		{"unary errors", []call{unary(notFound), unary(plainError)}, []string{
			`grpc_client_msg_received_total{` + unaryCall + `}: absent, was 2`,
		}},
		{"unary context errors", []call{unary(contextCanceled), unary(contextExpired)}, []string{
			`grpc_client_msg_received_total{` + unaryCall + `}: absent, was 2`,
			`grpc_server_handled_total{grpc_code="Canceled",` + unaryCall + `}: 1, was absent`,
			`grpc_server_handled_total{grpc_code="DeadlineExceeded",` + unaryCall + `}: 1, was absent`,
			`grpc_server_handled_total{grpc_code="Unknown",` + unaryCall + `}: absent, was 2`,
		}},
		{"server stream", []call{serverStream(3, 0), serverStream(0, 0), serverStream(2, notFound), serverStream(0, plainError)}, nil},
		{"server stream context error", []call{serverStream(1, contextCanceled)}, []string{
			`grpc_server_handled_total{grpc_code="Canceled",` + outCall + `}: 1, was absent`,
			`grpc_server_handled_total{grpc_code="Unknown",` + outCall + `}: absent, was 1`,
		}},
		{"client stream", []call{clientStream(3), clientStream(0)}, []string{
			`grpc_client_handled_total{grpc_code="OK",` + inCall + `}: 2, was absent`,
			`grpc_client_handling_seconds{` + inCall + `}: 2, was absent`,
		}},
		{"client stream refused", []call{clientStreamRefused}, nil},
		{"bidi stream", []call{bidiStream(3, 0), bidiStream(2, notFound), bidiStream(0, plainError)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			for _, call := range c.calls {
				call(t, r.client)
			}
			r.expect("the successor", r.differences(r.archived, r.provider), c.differs)
		})
	}
}

// TestOurs checks that the coordinator exports the same values as the successor, except for the
// histograms of streams.
func TestOurs(t *testing.T) {
	r := newRig(t)
	for _, call := range []call{unary(0), unary(notFound), serverStream(3, 0), serverStream(1, notFound), clientStream(2), bidiStream(2, 0)} {
		call(t, r.client)
	}
	var want []string
	for _, side := range []string{"client", "server"} {
		for labels, n := range map[string]int{outCall: 2, inCall: 1, bidiCall: 1} {
			want = append(want, fmt.Sprintf("grpc_%s_handling_seconds{%s}: absent, was %d", side, labels, n))
		}
	}
	r.expect("ours", r.differences(r.provider, r.ours), want)
}

// TestInitialized checks that the same series exist before the first call: one for every method
// and code.
func TestInitialized(t *testing.T) {
	r := newRig(t)
	for _, p := range r.peers() {
		p.initialize(r.server)
	}
	r.expect("the successor", r.differences(r.archived, r.provider), nil)
	var want []string
	methods := 0
	for service, info := range r.server.GetServiceInfo() {
		for _, m := range info.Methods {
			methods++
			if kind := kindOf(m); kind != "unary" {
				want = append(want, fmt.Sprintf("grpc_server_handling_seconds{grpc_method=%q,grpc_service=%q,grpc_type=%q}: absent, was 0", m.Name, service, kind))
			}
		}
	}
	r.expect("ours", r.differences(r.provider, r.ours), want)
	for _, p := range r.peers() {
		for _, f := range r.gather(p) {
			if n := len(f.GetMetric()); f.GetName() == "grpc_server_handled_total" && n != 17*methods {
				t.Errorf("grpc_server_handled_total: %d series, want 17 for each of %d methods", n, methods)
			}
		}
	}
}

func kindOf(m grpc.MethodInfo) string {
	switch {
	case m.IsClientStream && m.IsServerStream:
		return "bidi_stream"
	case m.IsClientStream:
		return "client_stream"
	case m.IsServerStream:
		return "server_stream"
	}
	return "unary"
}

// TestFamilies checks that names, types and help texts of all metrics are the same.
func TestFamilies(t *testing.T) {
	r := newRig(t)
	for _, call := range []call{unary(0), unary(notFound), serverStream(1, 0)} {
		call(t, r.client)
	}
	want := families(r.gather(r.archived))
	if len(want) != 10 {
		t.Errorf("the archived library has %d families, want 5 for each side: %q", len(want), want)
	}
	for name, p := range map[string]*peer{"the successor": r.provider, "ours": r.ours} {
		if got := families(r.gather(p)); !slices.Equal(got, want) {
			t.Errorf("%s has\n%q\nwant\n%q", name, got, want)
		}
	}
}

func families(all []*dto.MetricFamily) []string {
	var lines []string
	for _, f := range all {
		lines = append(lines, fmt.Sprintf("%s %s %s", f.GetName(), f.GetType(), f.GetHelp()))
	}
	return lines
}

// TestBuckets checks that the successor has the same histogram buckets as the archived library.
// The coordinator must have these buckets and three more, so that old queries still work.
func TestBuckets(t *testing.T) {
	r := newRig(t)
	unary(0)(t, r.client)
	for _, name := range []string{"grpc_server_handling_seconds", "grpc_client_handling_seconds"} {
		want := buckets(r.gather(r.archived), name)
		if got := buckets(r.gather(r.provider), name); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s: the successor has %v, want %v", name, got, want)
		}
		ours := buckets(r.gather(r.ours), name)
		for _, bound := range want {
			if !slices.Contains(ours, bound) {
				t.Errorf("%s: ours has %v, without %v", name, ours, bound)
			}
		}
		if len(ours) != len(want)+3 {
			t.Errorf("%s: ours has %v, want three more than %v", name, ours, want)
		}
	}
}

func buckets(all []*dto.MetricFamily, name string) (bounds []float64) {
	for _, f := range all {
		if f.GetName() != name {
			continue
		}
		for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
			bounds = append(bounds, b.GetUpperBound())
		}
	}
	return bounds
}

// TestHistogramIsAnOption checks that the archived library and its successor have no histogram
// by default, and that the coordinator has one.
func TestHistogramIsAnOption(t *testing.T) {
	for name, c := range map[string]struct {
		collector prometheus.Collector
		want      int
	}{
		"archived server":  {archived.NewServerMetrics(), 4},
		"archived client":  {archived.NewClientMetrics(), 4},
		"successor server": {provider.NewServerMetrics(), 4},
		"successor client": {provider.NewClientMetrics(), 4},
		"our server":       {metrics.ServerMetrics(), 5},
		"our client":       {metrics.ClientMetrics(), 5},
	} {
		descs := make(chan *prometheus.Desc, 10)
		c.collector.Describe(descs)
		if len(descs) != c.want {
			t.Errorf("%s has %d metrics, want %d", name, len(descs), c.want)
		}
	}
}

// TestDefaultRegistry checks that the import of the archived library registers its metrics in
// the default registry. The other metrics can then not be registered there.
func TestDefaultRegistry(t *testing.T) {
	for name, c := range map[string]prometheus.Collector{
		"successor server": provider.NewServerMetrics(),
		"our server":       metrics.ServerMetrics(),
		"our client":       metrics.ClientMetrics(),
	} {
		if err := prometheus.Register(c); err == nil {
			t.Errorf("%s: registered; the archived library has not been there first", name)
			prometheus.Unregister(c)
		}
	}
}
