package metrics

import (
	"maps"
	"slices"

	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
)

// handlingBuckets returns the histogram buckets for the duration of a call: the defaults of
// Prometheus and three smaller buckets. The defaults keep existing queries valid. The smaller
// buckets are needed because most calls are answered from memory.
func handlingBuckets() provider.HistogramOption {
	return provider.WithHistogramBuckets(append([]float64{.0005, .001, .0025}, prometheus.DefBuckets...))
}

// ServerCalls has the grpc_server_ metrics of one server. It implements
// prometheus.Collector.
type ServerCalls struct {
	// A provider of the Prometheus middleware records every call in its histogram, or no call. Only
	// unary calls must be in the histogram, so streams have a separate provider without a
	// histogram. A scrape returns the series of both providers.
	unary, streams *provider.ServerMetrics
}

// ServerMetrics returns new metrics of a gRPC server. The caller registers them, and installs Unary
// and Stream as the outermost interceptors.
//
// A call of an unknown method does not reach an interceptor, so clients cannot create
// labels. A server with a grpc.UnknownServiceHandler must not use these metrics.
func ServerMetrics() *ServerCalls {
	return &ServerCalls{
		unary:   provider.NewServerMetrics(provider.WithServerHandlingTimeHistogram(handlingBuckets())),
		streams: provider.NewServerMetrics(),
	}
}

// Unary returns the interceptor for unary calls.
func (c *ServerCalls) Unary() grpc.UnaryServerInterceptor { return c.unary.UnaryServerInterceptor() }

// Stream returns the interceptor for streams.
func (c *ServerCalls) Stream() grpc.StreamServerInterceptor {
	return c.streams.StreamServerInterceptor()
}

// Initialize creates the series of every method and code with the value 0, so that rate() sees the
// first error. It must be called after all services are registered.
func (c *ServerCalls) Initialize(server reflection.ServiceInfoProvider) {
	c.unary.InitializeMetrics(filteredServer{server, isUnary})
	c.streams.InitializeMetrics(filteredServer{server, func(m grpc.MethodInfo) bool { return !isUnary(m) }})
}

// Describe implements prometheus.Collector.
func (c *ServerCalls) Describe(ch chan<- *prometheus.Desc) { c.unary.Describe(ch) }

// Collect implements prometheus.Collector.
func (c *ServerCalls) Collect(ch chan<- prometheus.Metric) {
	c.unary.Collect(ch)
	c.streams.Collect(ch)
}

func isUnary(m grpc.MethodInfo) bool { return !m.IsClientStream && !m.IsServerStream }

// filteredServer describes a gRPC server, but lists only the methods for which keep returns true.
type filteredServer struct {
	reflection.ServiceInfoProvider
	keep func(grpc.MethodInfo) bool
}

func (f filteredServer) GetServiceInfo() map[string]grpc.ServiceInfo {
	services := maps.Clone(f.ServiceInfoProvider.GetServiceInfo())
	for name, s := range services {
		s.Methods = slices.DeleteFunc(slices.Clone(s.Methods), func(m grpc.MethodInfo) bool { return !f.keep(m) })
		services[name] = s
	}
	return services
}

// ClientCalls has the grpc_client_ metrics of any number of connections. It implements
// prometheus.Collector.
type ClientCalls struct {
	unary, streams *provider.ClientMetrics // separate, because only unary calls have a histogram of durations
}

// ClientMetrics returns new metrics of gRPC clients. The caller registers them, and installs Unary
// and Stream as interceptors of the connections.
func ClientMetrics() *ClientCalls {
	return &ClientCalls{
		unary:   provider.NewClientMetrics(provider.WithClientHandlingTimeHistogram(handlingBuckets())),
		streams: provider.NewClientMetrics(),
	}
}

// Unary returns the interceptor for unary calls.
func (c *ClientCalls) Unary() grpc.UnaryClientInterceptor { return c.unary.UnaryClientInterceptor() }

// Stream returns the interceptor for streams.
func (c *ClientCalls) Stream() grpc.StreamClientInterceptor {
	return c.streams.StreamClientInterceptor()
}

// Describe implements prometheus.Collector.
func (c *ClientCalls) Describe(ch chan<- *prometheus.Desc) { c.unary.Describe(ch) }

// Collect implements prometheus.Collector.
func (c *ClientCalls) Collect(ch chan<- prometheus.Metric) {
	c.unary.Collect(ch)
	c.streams.Collect(ch)
}
