package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/internal/nettest"
)

// securedServer starts a gRPC server with TLS and returns its address.
func securedServer(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(cfg)))
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return l.Addr().String()
}

// TestHandshakeErrors checks that the error of each wrong step says what is wrong, and its hint what
// to do.
func TestHandshakeErrors(t *testing.T) {
	dir, ca, other := t.TempDir(), nettest.NewAuthority(t), nettest.NewAuthority(t)
	roots, otherRoots := ca.Roots(dir), other.Roots(t.TempDir())
	mine, myKey := ca.Issue(dir, "ann", time.Hour)
	signed := func(from, until time.Time, usage x509.ExtKeyUsage) *tls.Config {
		c := ca.Sign(&x509.Certificate{
			NotBefore: from, NotAfter: until, DNSNames: []string{"mesh"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		})
		return &tls.Config{Certificates: []tls.Certificate{c}}
	}
	now, day := time.Now(), 24*time.Hour
	good := func() *tls.Config { return signed(now.Add(-day), now.Add(day), x509.ExtKeyUsageServerAuth) }
	demanding := func(pool *x509.CertPool, at time.Time) *tls.Config {
		cfg := good()
		cfg.ClientAuth, cfg.ClientCAs, cfg.Time = tls.RequireAndVerifyClientCert, pool, func() time.Time { return at }
		return cfg
	}
	_, plain := stockServer(t)
	shows := []string{"--tls-ca", roots, "--tls-cert", mine, "--tls-key", myKey}
	for name, c := range map[string]struct {
		server *tls.Config
		flags  []string
		wants  []string
	}{
		"the wrong CA": {
			good(),
			[]string{"--tls-ca", otherRoots},
			[]string{"is signed by an authority that is not among the roots here (CN=authority)", "Check --tls-ca: it needs the certificate of the authority"},
		},
		"no CA": {
			good(),
			[]string{"--server-name", "mesh"},
			[]string{"is signed by an authority that is not among the roots here", "Give the certificate of its authority: --tls-ca FILE"},
		},
		"expired": {
			signed(now.Add(-2*day), now.Add(-day), x509.ExtKeyUsageServerAuth),
			[]string{"--tls-ca", roots},
			[]string{"expired at " + now.Add(-day).UTC().Format("2006-01-02"), "Renew it on the coordinator", "The clock here says 2"},
		},
		"a clock that is a day behind": {
			signed(now.Add(day), now.Add(2*day), x509.ExtKeyUsageServerAuth),
			[]string{"--tls-ca", roots},
			[]string{"is valid only from " + now.Add(day).UTC().Format("2006-01-02"), "The clock here says 2", "set it if it is wrong"},
		},
		"the wrong name": {
			good(),
			[]string{"--tls-ca", roots, "--server-name", "other"},
			[]string{"is valid for mesh, 127.0.0.1, not for other", "--server-name NAME"},
		},
		"no certificate for servers": {
			signed(now.Add(-day), now.Add(day), x509.ExtKeyUsageClientAuth),
			[]string{"--tls-ca", roots},
			[]string{"is not for a server", "Issue the coordinator a certificate for servers"},
		},
		"no client certificate": {
			demanding(ca.Pool(), now),
			[]string{"--tls-ca", roots},
			[]string{"requires a client certificate, and none was shown", "--tls-cert FILE and --tls-key FILE"},
		},
		"a client certificate of another authority": {
			demanding(other.Pool(), now), shows,
			[]string{"refuses our certificate", "client_ca"},
		},
		"a coordinator whose clock is a day ahead": {
			demanding(ca.Pool(), now.Add(2*time.Hour)), shows,
			[]string{"refuses our certificate: remote error: tls: expired certificate", "set the clock of the coordinator"},
		},
		"plaintext": {nil, []string{"--tls-ca", roots}, []string{"does not speak TLS", "It uses plaintext. Leave the TLS flags out"}},
	} {
		at := plain
		if c.server != nil {
			at = securedServer(t, c.server)
		}
		for _, command := range [][]string{{"status"}, {"doctor"}, {"watch", "--for", "1m"}} {
			s := shell{env: map[string]string{coordinatorEnv: at}}
			stdout, stderr, code := s.run(t.Context(), append(command, c.flags...)...)
			if code == exitOK {
				t.Errorf("%s, %s: code %d", name, command, code)
			}
			text := strings.Join(strings.Fields(stdout+stderr), " ")
			for _, want := range c.wants {
				if !strings.Contains(text, want) {
					t.Errorf("%s, %s: no %q in\n%s%s", name, command, want, stdout, stderr)
				}
			}
		}
	}
}
