package xds

import (
	"net/netip"
	"net/url"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlspb "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherpb "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Certificates names the certificates that clients use for services that speak TLS. A client has
// them itself: gRPC in the certificate_providers of its bootstrap, Envoy in its static secrets.
type Certificates struct {
	// Roots is the name of the certificates that sign those of the instances; empty means "default".
	Roots string
	// Identity is the name of the client's own certificate; empty means that clients have none.
	Identity string
}

func (c *Certificates) roots() string {
	if c.Roots == "" {
		return "default"
	}
	return c.Roots
}

// newTransportSocket returns the TLS settings of a cluster. The certificate of an instance must have
// one of the names: DNS names, IP addresses, and URIs, such as spiffe://mesh/payments. gRPC clients find certificates by the
// name of a provider. Envoy ignores such names and would then verify nothing, so it gets the names of
// secrets. It refuses a cluster whose secrets it does not have.
func newTransportSocket(r Rendering, names []string, c *Certificates) *corepb.TransportSocket {
	common := &tlspb.CommonTlsContext{}
	if r == Plain {
		setProviders(common, names, c)
	} else {
		setSecrets(common, names, c)
	}
	return &corepb.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corepb.TransportSocket_TypedConfig{TypedConfig: packed(&tlspb.UpstreamTlsContext{
			CommonTlsContext: common, Sni: serverName(names),
		})},
	}
}

func setProviders(common *tlspb.CommonTlsContext, names []string, c *Certificates) {
	provider := func(name string) *tlspb.CertificateProviderPluginInstance {
		return &tlspb.CertificateProviderPluginInstance{InstanceName: name}
	}
	validation := &tlspb.CertificateValidationContext{CaCertificateProviderInstance: provider(c.roots())}
	for _, name := range names {
		//lint:ignore SA1019 gRPC reads no other field
		validation.MatchSubjectAltNames = append(validation.MatchSubjectAltNames, exactly(name))
	}
	common.ValidationContextType = &tlspb.CommonTlsContext_ValidationContext{ValidationContext: validation}
	if c.Identity != "" {
		common.TlsCertificateProviderInstance = provider(c.Identity)
	}
}

func setSecrets(common *tlspb.CommonTlsContext, names []string, c *Certificates) {
	validation := &tlspb.CertificateValidationContext{}
	for _, name := range names {
		kind := tlspb.SubjectAltNameMatcher_DNS
		if addr, err := netip.ParseAddr(name); err == nil {
			kind, name = tlspb.SubjectAltNameMatcher_IP_ADDRESS, addr.String() // Envoy compares texts in this form
		} else if isURI(name) {
			kind = tlspb.SubjectAltNameMatcher_URI
		}
		validation.MatchTypedSubjectAltNames = append(validation.MatchTypedSubjectAltNames,
			&tlspb.SubjectAltNameMatcher{SanType: kind, Matcher: exactly(name)})
	}
	common.ValidationContextType = &tlspb.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlspb.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         validation,
			ValidationContextSdsSecretConfig: &tlspb.SdsSecretConfig{Name: c.roots()},
		},
	}
	if c.Identity != "" {
		common.TlsCertificateSdsSecretConfigs = []*tlspb.SdsSecretConfig{{Name: c.Identity}}
	}
}

func exactly(text string) *matcherpb.StringMatcher {
	return &matcherpb.StringMatcher{MatchPattern: &matcherpb.StringMatcher_Exact{Exact: text}}
}

func isURI(name string) bool {
	u, err := url.Parse(name)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// serverName returns the name that a client asks the instance for: the first DNS name. TLS allows no IP
// address there.
func serverName(names []string) string {
	for _, name := range names {
		if _, err := netip.ParseAddr(name); err != nil && !isURI(name) {
			return name
		}
	}
	return ""
}

func packed(m proto.Message) *anypb.Any {
	return &anypb.Any{TypeUrl: urlPrefix + messageName(m), Value: marshal(m)}
}
