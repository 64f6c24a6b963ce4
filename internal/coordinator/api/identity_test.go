package api

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// front is a world with three real listeners.
type front struct {
	*world
	authority        *authority
	socket           string
	plain, encrypted string // addresses
}

func newFront(t *testing.T, edit func(*access.Policy), other Authenticate) *front {
	f := &front{authority: newAuthority(t), socket: filepath.Join(t.TempDir(), "s")}
	policy := &access.Policy{TrustDomain: "mesh.test", Tokens: map[string][]access.TokenHash{"ci": {sha256.Sum256([]byte("secret"))}}}
	if edit != nil {
		edit(policy)
	}
	listen := func(network, at string) net.Listener {
		l, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	plain, encrypted, local := listen("tcp", "127.0.0.1:0"), listen("tcp", "127.0.0.1:0"), listen("unix", f.socket)
	f.plain, f.encrypted = plain.Addr().String(), encrypted.Addr().String()
	f.world = newWorld(t, func(s *setup) {
		s.access, s.authenticate, s.socket = policy, other, f.socket
		s.listeners = []Listener{{Listener: plain}, {encrypted, f.authority.server(tls.VerifyClientCertIfGiven)}, {Listener: local}}
	})
	return f
}

// dial returns a client of a listener.
func (f *front) dial(target string, creds credentials.TransportCredentials, more ...grpc.DialOption) *visitor {
	conn, err := grpc.NewClient(target, append(more, grpc.WithTransportCredentials(creds))...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	return &visitor{t: f.t, conn: conn, mesh: pb.NewHealthServiceClient(conn), leases: pb.NewRegistryServiceClient(conn), admin: pb.NewAdminServiceClient(conn)}
}

// certified returns a client over TLS that shows a certificate with these names.
func (f *front) certified(uris, dnsNames []string) *visitor {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: "spiffe://mesh.test/admin"}, DNSNames: dnsNames, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, u := range uris {
		c.URIs = append(c.URIs, must(url.Parse(u)))
	}
	cert := f.authority.Sign(c)
	return f.dial("passthrough:///"+f.encrypted, f.authority.client(&cert))
}

// who returns the identity that the server sees, in its words, or the error that refuses it.
func (c *visitor) who(authorization ...string) (identity string, err error) {
	ctx := c.t.Context()
	for _, value := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	_, err = c.admin.GetCoordinator(ctx, &pb.GetCoordinatorRequest{})
	_, rest, _ := strings.Cut(status.Convert(err).Message(), "not allowed: ")
	identity, _, found := strings.Cut(rest, " may not read *")
	if found && status.Code(err) == codes.PermissionDenied {
		return identity, nil
	}
	return "", err
}

const nobodyText = "a caller without an identity"

// TestIdentities: which identity a caller has, over real connections of all kinds, and which callers are
// refused.
func TestIdentities(t *testing.T) {
	strict := newFront(t, nil, nil)
	lenient := newFront(t, func(p *access.Policy) { p.AllowDNSNames, p.TrustDomain = true, "" }, nil)
	asked := newFront(t, nil, func(_ context.Context, certificates []*x509.Certificate, authorization string) (string, error) {
		switch {
		case authorization == "Bearer broken":
			return "", errors.New("the directory does not answer")
		case authorization != "":
			return "bob", nil
		case len(certificates) > 0:
			return "by " + certificates[0].Subject.CommonName, nil
		}
		return "", nil
	})
	over := func(f *front) *visitor { return f.dial("passthrough:///"+f.encrypted, f.authority.client(nil)) }
	plain := func(f *front) *visitor { return f.dial("passthrough:///"+f.plain, insecure.NewCredentials()) }
	local := func(f *front) *visitor { return f.dial("unix://"+f.socket, insecure.NewCredentials()) }
	user, ann, token := fmt.Sprint("unix:uid=", os.Getuid()), "spiffe://mesh.test/ann", "Bearer secret"
	unknown := "authorization: has a token that the access policy does not know; allowed: Bearer TOKEN, where tokens of the policy has the SHA-256 of TOKEN"
	for what, c := range map[string]struct {
		of            *visitor
		authorization []string
		want          string // identity
		refused       string // part of the text that refuses the caller
	}{
		"one URI":                        {of: strict.certified([]string{ann}, nil), want: ann},
		"a URI beside DNS names":         {of: strict.certified([]string{ann}, []string{"a.test", "b.test"}), want: ann},
		"two URIs":                       {of: strict.certified([]string{ann, ann + "2"}, nil), refused: "the certificate has 2 URIs; allowed: exactly one, such as spiffe://example.org/payments"},
		"another kind of URI":            {of: strict.certified([]string{"https://mesh.test/ann"}, nil), refused: `the certificate has the URI "https://mesh.test/ann", which is no SPIFFE ID; allowed: spiffe://DOMAIN/PATH`},
		"a SPIFFE ID without a path":     {of: strict.certified([]string{"spiffe://mesh.test"}, nil), refused: "which is no SPIFFE ID"},
		"a wildcard in a SPIFFE ID":      {of: strict.certified([]string{"spiffe://mesh.test/*"}, nil), refused: "which is no SPIFFE ID"},
		"another trust domain":           {of: strict.certified([]string{"spiffe://other.test/ann"}, nil), refused: `the certificate is of the trust domain "other.test"; allowed: mesh.test`},
		"any trust domain":               {of: lenient.certified([]string{"spiffe://other.test/ann"}, nil), want: "spiffe://other.test/ann"},
		"a DNS name":                     {of: lenient.certified(nil, []string{"Pay.Test"}), want: "dns:pay.test"},
		"a DNS name that is not allowed": {of: strict.certified(nil, []string{"pay.test"}), want: nobodyText},
		"two DNS names":                  {of: lenient.certified(nil, []string{"a.test", "b.test"}), refused: "the certificate has 2 DNS names and no URI; allowed: one URI, or exactly one DNS name"},
		"only a common name":             {of: lenient.certified(nil, nil), want: nobodyText},
		"no certificate":                 {of: over(strict), want: nobodyText},
		"plaintext":                      {of: plain(strict), want: nobodyText},
		"a local user":                   {of: local(strict), want: user},

		"a token over TLS":                             {of: over(strict), authorization: []string{token}, want: "token:ci"},
		"a token in lower case":                        {of: over(strict), authorization: []string{"bearer secret"}, want: "token:ci"},
		"a token over the socket":                      {of: local(strict), authorization: []string{token}, want: "token:ci"},
		"a token over plaintext":                       {of: plain(strict), authorization: []string{token}, refused: "authorization: is sent on a plaintext connection; allowed: over TLS, or over the unix socket " + strict.socket},
		"a wrong token over plaintext":                 {of: plain(strict), authorization: []string{"Bearer wrong"}, refused: "authorization: is sent on a plaintext connection"},
		"a token beside a certificate":                 {of: strict.certified([]string{ann}, nil), authorization: []string{token}, refused: "authorization: is given beside the certificate of " + ann + "; allowed: one identity for each connection"},
		"a token beside a certificate of nobody":       {of: strict.certified(nil, nil), authorization: []string{token}, want: "token:ci"},
		"a token beside a refused certificate":         {of: strict.certified([]string{"spiffe://other.test/ann"}, nil), authorization: []string{token}, refused: "is of the trust domain"},
		"two headers":                                  {of: over(strict), authorization: []string{token, token}, refused: "authorization: is given 2 times; allowed: once"},
		"an unknown token":                             {of: over(strict), authorization: []string{"Bearer wrong"}, refused: unknown},
		"an unknown token over the socket":             {of: local(strict), authorization: []string{"Bearer wrong"}, refused: unknown},
		"the hash of a token":                          {of: over(strict), authorization: []string{fmt.Sprintf("Bearer %x", sha256.Sum256([]byte("secret")))}, refused: unknown},
		"Basic":                                        {of: over(strict), authorization: []string{"Basic secret"}, refused: unknown},
		"no scheme":                                    {of: over(strict), authorization: []string{"secret"}, refused: unknown},
		"an empty header":                              {of: over(strict), authorization: []string{""}, refused: unknown},
		"an authenticator that knows the caller":       {of: over(asked), authorization: []string{"Negotiate x"}, want: "ext:bob"},
		"an authenticator that errs":                   {of: over(asked), authorization: []string{"Bearer broken"}, refused: "the directory does not answer"},
		"an authenticator and a certificate":           {of: asked.certified([]string{ann}, nil), want: ann},
		"an authenticator and nobody":                  {of: over(asked), want: nobodyText},
		"an authenticator and one of the policy's":     {of: over(asked), authorization: []string{token}, want: "token:ci"},
		"an authenticator and a local user":            {of: local(asked), want: user},
		"an authenticator over plaintext":              {of: plain(asked), authorization: []string{"Negotiate x"}, refused: "is sent on a plaintext connection"},
		"an authenticator and a certificate of nobody": {of: asked.certified(nil, nil), want: "ext:by spiffe://mesh.test/admin"},
	} {
		got, err := c.of.who(c.authorization...)
		if c.refused != "" {
			wantCode(t, err, codes.Unauthenticated, wire.ReasonIdentity)
			wantText(t, err, "not authenticated: ", c.refused)
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", what, got, err, c.want)
		}
	}
}

// claims are headers with which other programs say who a caller is.
var claims = []string{
	"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-user", "x-forwarded-email", "x-forwarded-client-cert",
	"x-real-ip", "forwarded", "via", "true-client-ip", "x-client-ip", "x-remote-user", "x-auth-request-user", "x-user-id",
	"x-ssl-client-cert", "x-amzn-oidc-identity", "proxy-authorization", "cookie", "from", "x-api-key", "x-spiffe-id", "grpc-peer-identity",
}

// TestHeadersSayNothing: no header but authorization changes a decision.
func TestHeadersSayNothing(t *testing.T) {
	f := newFront(t, func(p *access.Policy) {
		all := access.Open(nil).Rules[0]
		all.Who = []string{"unix:uid=0", "token:ci", "spiffe://mesh.test/admin"}
		p.Rules = append(p.Rules, all, access.Rule{Name: "public", Who: []string{"anyone"}, Read: &access.Read{Services: []string{"pay"}}})
	}, nil)
	requests := []any{
		&pb.GetCoordinatorRequest{}, &pb.CheckRequest{Service: "pay"}, &pb.CheckRequest{Service: "hidden"}, &pb.ListTransitionsRequest{},
		&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/1")}}, forAnHour("pay", pb.Status_STATUS_SERVING),
	}
	visitors := map[string]func(...grpc.DialOption) *visitor{
		"plaintext": func(o ...grpc.DialOption) *visitor {
			return f.dial("passthrough:///"+f.plain, insecure.NewCredentials(), o...)
		},
		"TLS": func(o ...grpc.DialOption) *visitor {
			return f.dial("passthrough:///"+f.encrypted, f.authority.client(nil), o...)
		},
	}
	for over, visit := range visitors {
		c := visit()
		var want []string
		for _, req := range requests {
			want = append(want, fmt.Sprint(c.send(req)))
		}
		compare := func(what string, c *visitor) {
			for i, req := range requests {
				if got := fmt.Sprint(c.send(req)); got != want[i] {
					t.Errorf("%s, %s, %T: %s, want %s", over, what, req, got, want[i])
				}
			}
		}
		for _, name := range claims {
			for _, value := range []string{"unix:uid=0", "spiffe://mesh.test/admin", "127.0.0.1", "Bearer secret"} {
				compare(name+": "+value, visit(grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
					return invoke(metadata.AppendToOutgoingContext(ctx, name, value), method, req, reply, cc, o...)
				})))
			}
		}
		compare("user-agent", visit(grpc.WithUserAgent("unix:uid=0")))
	}
	for _, authority := range []string{"localhost", "127.0.0.1:7070", "evil.example.com", "spiffe://mesh.test/admin", "unix:uid=0"} {
		c := f.dial("passthrough:///"+f.plain, insecure.NewCredentials(), grpc.WithAuthority(authority))
		if got, err := c.who(); err != nil || got != nobodyText {
			t.Errorf("the authority %s: %q, %v", authority, got, err)
		}
	}
}
