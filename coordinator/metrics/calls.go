package metrics

import (
	"maps"
	"slices"

	provider "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
)

// handlingBuckets are Prometheus' default ones, so that existing queries for an
// le keep working, and three below: most calls here are answered from memory.
func handlingBuckets() provider.HistogramOption {
	return provider.WithHistogramBuckets(append([]float64{.0005, .001, .0025}, prometheus.DefBuckets...))
}

// ServerCalls is the grpc_server_ metrics of one server. It is a
// prometheus.Collector.
type ServerCalls struct {
	// Streams are counted apart, by metrics that have no histogram: the
	// provider enters the time of every call it sees into the histogram, or of
	// none. To who scrapes both are one, since no call is in both.
	unary, streams *provider.ServerMetrics
}

// ServerMetrics returns new metrics of a server, to be registered, and chained
// as its outermost interceptors.
//
// Methods the server does not know never reach an interceptor, so that callers
// cannot make labels up. This does not hold beside a grpc.UnknownServiceHandler.
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

// Initialize makes the series of every method and code, with zeros, so that a
// first error is seen as a rise. Call it when all services are registered.
func (c *ServerCalls) Initialize(server reflection.ServiceInfoProvider) {
	c.unary.InitializeMetrics(only{server, isUnary})
	c.streams.InitializeMetrics(only{server, func(m grpc.MethodInfo) bool { return !isUnary(m) }})
}

// Describe implements prometheus.Collector.
func (c *ServerCalls) Describe(ch chan<- *prometheus.Desc) { c.unary.Describe(ch) }

// Collect implements prometheus.Collector.
func (c *ServerCalls) Collect(ch chan<- prometheus.Metric) {
	c.unary.Collect(ch)
	c.streams.Collect(ch)
}

func isUnary(m grpc.MethodInfo) bool { return !m.IsClientStream && !m.IsServerStream }

// only is a server of which some methods are seen.
type only struct {
	reflection.ServiceInfoProvider
	sees func(grpc.MethodInfo) bool
}

func (o only) GetServiceInfo() map[string]grpc.ServiceInfo {
	services := maps.Clone(o.ServiceInfoProvider.GetServiceInfo())
	for name, s := range services {
		s.Methods = slices.DeleteFunc(slices.Clone(s.Methods), func(m grpc.MethodInfo) bool { return !o.sees(m) })
		services[name] = s
	}
	return services
}

// ClientCalls is the grpc_client_ metrics of any number of connections. It is a
// prometheus.Collector.
type ClientCalls struct {
	unary, streams *provider.ClientMetrics // as in ServerCalls
}

// ClientMetrics returns new metrics of clients, to be registered, and chained
// as interceptors of their connections.
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
