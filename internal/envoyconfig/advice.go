package envoyconfig

import (
	"fmt"
	"slices"
	"time"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlspb "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreampb "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// longestMerge is the longest update_merge_window without advice. Envoy holds changes of health
	// back for so long.
	longestMerge = 100 * time.Millisecond
	// defaultPanic is the panic threshold of Envoy if the bootstrap has none, in percent.
	defaultPanic = 50
	// httpOptions is the name of the extension that says which version of HTTP a cluster uses.
	httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// Advice returns a fault for each setting that makes Envoy learn of health late, or not at all. Each
// text ends with what is better. The order is that of the clusters.
func (d *Document) Advice() []Fault {
	var faults []Fault
	ads, faults := d.adsAdvice()
	for i, c := range d.Bootstrap.GetStaticResources().GetClusters() {
		a := &adviser{d: d, path: fmt.Sprintf("static_resources.clusters[%d]", i), c: c}
		if ads[c.GetName()] {
			a.coordinator()
		} else {
			a.service(len(ads) > 0)
		}
		a.handshakes()
		faults = append(faults, a.faults...)
	}
	return faults
}

// EDSService is a service whose endpoints Envoy asks for.
type EDSService struct {
	Name string
	// Unknown is the fault to report if the coordinator does not know the service.
	Unknown Fault
}

// EDSServices returns the services that the static clusters receive over ADS.
func (d *Document) EDSServices() []EDSService {
	var all []EDSService
	for i, c := range d.Bootstrap.GetStaticResources().GetClusters() {
		if c.GetType() != clusterpb.Cluster_EDS || c.GetEdsClusterConfig().GetEdsConfig().GetAds() == nil {
			continue
		}
		path, name := fmt.Sprintf("static_resources.clusters[%d].eds_cluster_config.service_name", i), c.GetEdsClusterConfig().GetServiceName()
		if name == "" {
			path, name = fmt.Sprintf("static_resources.clusters[%d].name", i), c.GetName()
		}
		all = append(all, EDSService{name, d.fault(path, "is %q, of which nothing is registered", name)})
	}
	return all
}

// adsAdvice looks at how Envoy connects to the coordinator. It returns the names of the clusters that
// lead there.
func (d *Document) adsAdvice() (ads map[string]bool, faults []Fault) {
	const path = "dynamic_resources.ads_config"
	config := d.Bootstrap.GetDynamicResources().GetAdsConfig()
	ads = map[string]bool{}
	if config == nil {
		return ads, nil
	}
	if t := config.GetApiType(); t != corepb.ApiConfigSource_DELTA_GRPC && t != corepb.ApiConfigSource_GRPC {
		faults = append(faults, d.fault(path+".api_type", "is %s, which the coordinator does not serve; better: DELTA_GRPC", t))
	}
	static := map[string]bool{}
	for _, c := range d.Bootstrap.GetStaticResources().GetClusters() {
		static[c.GetName()] = true
	}
	for i, s := range config.GetGrpcServices() {
		name := s.GetEnvoyGrpc().GetClusterName()
		if name == "" {
			continue
		}
		if !static[name] {
			faults = append(faults, d.fault(fmt.Sprintf("%s.grpc_services[%d].envoy_grpc.cluster_name", path, i),
				"is %q, which is no static cluster; better: the name of the coordinator's cluster", name))
		}
		ads[name] = true
	}
	return ads, faults
}

// adviser collects the advice for one cluster.
type adviser struct {
	d      *Document
	path   string
	c      *clusterpb.Cluster
	faults []Fault
}

// add adds a fault of a field of the cluster.
func (a *adviser) add(field, format string, args ...any) {
	a.faults = append(a.faults, a.d.fault(a.path+"."+field, format, args...))
}

// coordinator looks at a cluster that leads to the coordinator.
func (a *adviser) coordinator() {
	switch checks := a.c.GetHealthChecks(); {
	case len(checks) == 0:
		a.add("health_checks", "is missing, so Envoy does not see that the coordinator is ill; better: one with grpc_health_check: {}")
	case checks[0].GetGrpcHealthCheck() == nil:
		a.add("health_checks[0]", "does not use gRPC, as the port for ADS does; better: grpc_health_check: {}")
	}
	a.trafficInterval()
	if !a.speaksHTTP2() {
		a.add("typed_extension_protocol_options", "does not select HTTP/2, which ADS needs; better: explicit_http_config: { http2_protocol_options: {} }")
	}
	if ping := a.http2().GetConnectionKeepalive().GetInterval(); ping != nil && ping.AsDuration() < wire.MinPing {
		a.add("typed_extension_protocol_options."+httpOptions+".explicit_http_config.http2_protocol_options.connection_keepalive.interval",
			"is %v, and the coordinator ends a connection with more than one ping in %v; better: upstream_connection_options.tcp_keepalive", ping.AsDuration(), wire.MinPing)
	}
}

// service looks at a cluster with the endpoints of a service.
func (a *adviser) service(ads bool) {
	switch {
	case a.c.GetType() == clusterpb.Cluster_EDS:
		a.eds(ads)
	case a.asksCoordinator():
		a.static()
	}
	a.trafficInterval()
}

func (a *adviser) eds(ads bool) {
	source := a.c.GetEdsClusterConfig().GetEdsConfig()
	switch {
	case source.GetApiConfigSource() != nil:
		a.add("eds_cluster_config.eds_config.api_config_source", "opens a stream for this cluster alone; better: ads: {}")
	case source.GetAds() != nil && !ads:
		a.add("eds_cluster_config.eds_config.ads", "is set, and dynamic_resources.ads_config is missing; better: both")
	}
	if source.GetAds() == nil && source.GetApiConfigSource() == nil {
		return // the endpoints come from a file
	}
	switch window := a.c.GetCommonLbConfig().GetUpdateMergeWindow(); {
	case window == nil:
		a.add("common_lb_config.update_merge_window", "is missing, so Envoy holds changes of health back for up to 1s; better: 0s")
	case window.AsDuration() > longestMerge:
		a.add("common_lb_config.update_merge_window", "is %v, and Envoy holds changes of health back for so long; better: 0s", window.AsDuration())
	}
	if percent := a.panicThreshold(); percent > 0 {
		a.add("common_lb_config.healthy_panic_threshold", "is %v %%, and with fewer usable endpoints Envoy also uses those that are known to be bad; better: 0, because the coordinator has such a threshold for endpoints that it cannot reach", percent)
	}
	if len(a.c.GetHealthChecks()) > 0 && !a.c.GetIgnoreHealthOnHostRemoval() {
		a.add("ignore_health_on_host_removal", "is not true, so an endpoint that was removed gets calls as long as it passes the health checks of Envoy; better: true")
	}
}

// static looks at a cluster whose health checks ask the coordinator about each endpoint.
func (a *adviser) static() {
	if a.panicThreshold() == 0 {
		a.add("common_lb_config.healthy_panic_threshold", "is 0, so Envoy uses no endpoint while the coordinator is away; better: %d", defaultPanic)
	}
	for i, check := range a.c.GetHealthChecks() {
		if g := check.GetGrpcHealthCheck(); g == nil || g.GetServiceName() == "" {
			a.add(fmt.Sprintf("health_checks[%d].grpc_health_check.service_name", i), "is missing, and the endpoints name instances of a service; better: the name of the service")
		}
	}
}

// trafficInterval looks at how soon Envoy checks an endpoint to which it has not sent a call yet.
func (a *adviser) trafficInterval() {
	for i, check := range a.c.GetHealthChecks() {
		every := durationOr(check.GetNoTrafficInterval(), time.Minute)
		if least := durationOr(check.GetInterval(), 0); every > least {
			a.add(fmt.Sprintf("health_checks[%d].no_traffic_interval", i), "is %v, so before the first call Envoy learns of a change so late; better: %v, as interval", every, least)
		}
	}
}

// handshakes looks at the TLS settings that a gRPC health check uses. For calls, Envoy offers h2 by
// itself, but not for health checks.
func (a *adviser) handshakes() {
	if !slices.ContainsFunc(a.c.GetHealthChecks(), func(check *corepb.HealthCheck) bool {
		return check.GetGrpcHealthCheck() != nil && len(check.GetTlsOptions().GetAlpnProtocols()) == 0
	}) {
		return
	}
	a.handshake("transport_socket", a.c.GetTransportSocket())
	for i, match := range a.c.GetTransportSocketMatches() {
		a.handshake(fmt.Sprintf("transport_socket_matches[%d].transport_socket", i), match.GetTransportSocket())
	}
}

func (a *adviser) handshake(field string, socket *corepb.TransportSocket) {
	settings := &tlspb.UpstreamTlsContext{}
	if socket.GetTypedConfig().UnmarshalTo(settings) == nil && !slices.Contains(settings.GetCommonTlsContext().GetAlpnProtocols(), "h2") {
		a.add(field+".typed_config.common_tls_context.alpn_protocols", "has no h2, and gRPC servers in Go refuse a health check without it; better: [h2]")
	}
}

func durationOr(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return d.AsDuration()
}

// panicThreshold returns the percentage of usable endpoints below which Envoy uses all of them.
func (a *adviser) panicThreshold() float64 {
	if p := a.c.GetCommonLbConfig().GetHealthyPanicThreshold(); p != nil {
		return p.GetValue()
	}
	return defaultPanic
}

// asksCoordinator reports whether an endpoint has a host name by which the coordinator knows it.
func (a *adviser) asksCoordinator() bool {
	for _, locality := range a.c.GetLoadAssignment().GetEndpoints() {
		for _, e := range locality.GetLbEndpoints() {
			if _, named, _ := wire.ParseAuthority(e.GetEndpoint().GetHealthCheckConfig().GetHostname()); named {
				return true
			}
		}
	}
	return false
}

// http2 returns the HTTP/2 settings of the cluster; nil means that there are none.
func (a *adviser) http2() *corepb.Http2ProtocolOptions {
	if options := a.httpOptions(); options != nil {
		return options.GetExplicitHttpConfig().GetHttp2ProtocolOptions()
	}
	//lint:ignore SA1019 Envoy still accepts the older form.
	return a.c.GetHttp2ProtocolOptions()
}

func (a *adviser) httpOptions() *upstreampb.HttpProtocolOptions {
	packed := a.c.GetTypedExtensionProtocolOptions()[httpOptions]
	if packed == nil {
		return nil
	}
	options := &upstreampb.HttpProtocolOptions{}
	if packed.UnmarshalTo(options) != nil {
		return nil
	}
	return options
}

func (a *adviser) speaksHTTP2() bool { return a.http2() != nil }
