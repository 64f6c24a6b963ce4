//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // for -gzip
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// headerHealth answers SERVING if the request has the header `x-tenant: a`, and otherwise
// PERMISSION_DENIED.
type headerHealth struct {
	healthpb.UnimplementedHealthServer
}

func (headerHealth) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if got := metadata.ValueFromIncomingContext(ctx, "x-tenant"); len(got) == 0 || got[0] != "a" {
		return nil, status.Errorf(codes.PermissionDenied, "x-tenant is %q", got)
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// numberHealth answers with a status number that grpc.health.v1 does not define.
type numberHealth struct {
	healthpb.UnimplementedHealthServer
}

func (numberHealth) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{Status: 7}, nil
}

// hangingHealth does not answer before the call is cancelled.
type hangingHealth struct {
	healthpb.UnimplementedHealthServer
}

func (hangingHealth) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// serveOn runs a gRPC server until the test ends. It returns the port, or an empty text for a
// Unix socket.
func serveOn(t *testing.T, network, address string, register func(*grpc.Server), opts ...grpc.ServerOption) (port string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(opts...)
	register(g)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() { g.Stop(); wg.Wait() })
	if at, ok := l.Addr().(*net.TCPAddr); ok {
		return fmt.Sprint(at.Port)
	}
	return ""
}

// refusing returns a port that refuses connections. A socket that does not listen is bound to the
// port, so that no other process gets it.
func refusing(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(at.(*syscall.SockaddrInet4).Port)
}

// certificates writes a self-signed certificate for localhost and 127.0.0.1.
func certificates(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, dir+"/key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	write(t, dir+"/other.txt", "no certificate\n")
}

// probeTable has one command line in each row, after the exit code of grpc-health-probe. PORT,
// TLS, CLOSED and so on are replaced by ports of the test.
const probeTable = `
0  -addr=127.0.0.1:PORT
0  --addr=127.0.0.1:PORT
0  -addr 127.0.0.1:PORT
0  -addr=localhost:PORT
0  -addr=:PORT
0  -addr=0.0.0.0:PORT
0  -addr=[::ffff:127.0.0.1]:PORT
0  -addr=dns:///127.0.0.1:PORT
0  -addr=dns:127.0.0.1:PORT
0  -addr=dns:///localhost:PORT
0  -addr=dns:///:PORT
0  -addr=passthrough:///127.0.0.1:PORT
0  -addr=passthrough:///:PORT
0  -addr=passthrough:127.0.0.1:PORT
0  -addr=passthrough://any/127.0.0.1:PORT
0  -addr=PASSTHROUGH:///127.0.0.1:PORT
0  -addr=unix:health.sock
0  -addr=unix:///DIR/health.sock
0  -addr=unix:/DIR/health.sock
0  -addr=unix-abstract:ABSTRACT
2  -addr=unix:nobody.sock -connect-timeout=200ms
2  -addr=unix://host/health.sock -connect-timeout=200ms
2  -addr=ipv4:127.0.0.1:PORT -connect-timeout=200ms
2  -addr=ipv4:///127.0.0.1:PORT -connect-timeout=200ms
2  -addr=ipv6:[::1]:PORT -connect-timeout=200ms
2  -addr=::1:PORT -connect-timeout=200ms
2  -addr=localhost -connect-timeout=200ms
2  -addr=127.0.0.1 -connect-timeout=200ms
2  -addr=127.0.0.1: -connect-timeout=200ms
2  -addr=127.0.0.1:0 -connect-timeout=200ms
2  -addr=127.0.0.1:99999 -connect-timeout=200ms
2  -addr=127.0.0.1:nothing -connect-timeout=200ms
2  -addr=http://127.0.0.1:PORT -connect-timeout=200ms
2  -addr=a:b:PORT -connect-timeout=200ms
2  -addr=%zz:PORT -connect-timeout=200ms
2  -addr=dns:/// -connect-timeout=200ms
2  -addr=127.0.0.1:CLOSED -connect-timeout=200ms
2  -addr=:CLOSED -connect-timeout=200ms
2  -addr=dns:///127.0.0.1:CLOSED -connect-timeout=200ms
2  -addr=127.0.0.1:PORT -connect-timeout=1ns
1
1  -addr=
1  -service=payments
1  127.0.0.1:PORT -addr=127.0.0.1:PORT
1  -addr=127.0.0.1:PORT -nonsense
1  -addr=127.0.0.1:PORT -connect-timeout=0
1  -addr=127.0.0.1:PORT -connect-timeout=-1s
1  -addr=127.0.0.1:PORT -connect-timeout=1
1  -addr=127.0.0.1:PORT -rpc-timeout=0
1  -addr=127.0.0.1:PORT -rpc-timeout=-1s
1  -addr=127.0.0.1:PORT -rpc-timeout=soon
1  -addr=127.0.0.1:PORT -v=maybe
1  -addr
0  -addr=127.0.0.1:PORT extra
0  -addr=127.0.0.1:PORT extra -nonsense
0  -addr=127.0.0.1:PORT -- -nonsense
0  -version
0  -version -addr=
1  -version -nonsense
0  -addr=127.0.0.1:PORT -v
0  -addr=127.0.0.1:PORT -v=false
0  -addr=127.0.0.1:PORT -gzip
0  -addr=127.0.0.1:PORT -user-agent=kubelet
0  -addr=127.0.0.1:PORT -user-agent=
0  -addr=127.0.0.1:PORT -connect-timeout=5s -rpc-timeout=5s
0  -addr=127.0.0.1:PORT -service=serving
0  -addr=127.0.0.1:PORT -service=
4  -addr=127.0.0.1:PORT -service=down
4  -addr=127.0.0.1:PORT -service=unknown
4  -addr=127.0.0.1:PORT -service=service_unknown
3  -addr=127.0.0.1:PORT -service=nobody
3  -addr=127.0.0.1:PORT -service=a/b
4  -addr=127.0.0.1:NUMBER
3  -addr=127.0.0.1:NONE
3  -addr=127.0.0.1:HANG -rpc-timeout=200ms
2  -addr=127.0.0.1:MUTE -connect-timeout=200ms
0  -addr=127.0.0.1:HEADER -rpc-header=x-tenant:a
0  -addr=127.0.0.1:HEADER -rpc-header=X-Tenant:~a
0  -addr=127.0.0.1:HEADER -rpc-header=grpc-timeout:1n -rpc-header=x-tenant:a
3  -addr=127.0.0.1:HEADER
3  -addr=127.0.0.1:HEADER -rpc-header=x-tenant:b
3  -addr=127.0.0.1:HEADER -rpc-header=:a
3  -addr=127.0.0.1:HEADER -rpc-header=a~b:c
1  -addr=127.0.0.1:HEADER -rpc-header=nothing
2  -addr=127.0.0.1:TLS -connect-timeout=300ms
2  -addr=127.0.0.1:TLS -tls -connect-timeout=300ms
0  -addr=127.0.0.1:TLS -tls -tls-no-verify
0  -addr=:TLS -tls -tls-ca-cert=cert.pem
0  -addr=127.0.0.1:TLS -tls -tls-ca-cert=cert.pem
0  -addr=dns:///localhost:TLS -tls -tls-ca-cert=cert.pem
0  -addr=127.0.0.1:TLS -tls -tls-ca-cert=cert.pem -tls-server-name=localhost
0  -addr=127.0.0.1:TLS -tls -tls-ca-cert=cert.pem -tls-client-cert=cert.pem -tls-client-key=key.pem
2  -addr=127.0.0.1:TLS -tls -tls-ca-cert=cert.pem -tls-server-name=other -connect-timeout=300ms
2  -addr=127.0.0.1:BOTH -tls -tls-ca-cert=cert.pem -connect-timeout=300ms
0  -addr=127.0.0.1:BOTH -tls -tls-ca-cert=cert.pem -tls-client-cert=cert.pem -tls-client-key=key.pem
0  -addr=127.0.0.1:OLD -tls -tls-ca-cert=cert.pem
2  -addr=127.0.0.1:PORT -tls -tls-no-verify -connect-timeout=300ms
1  -addr=127.0.0.1:TLS -tls -tls-ca-cert=missing.pem
1  -addr=127.0.0.1:TLS -tls -tls-ca-cert=other.txt
1  -addr=127.0.0.1:TLS -tls -tls-client-cert=cert.pem
1  -addr=127.0.0.1:TLS -tls -tls-client-key=key.pem
1  -addr=127.0.0.1:TLS -tls -tls-client-cert=key.pem -tls-client-key=cert.pem
1  -addr=127.0.0.1:TLS -tls -tls-no-verify -tls-ca-cert=cert.pem
1  -addr=127.0.0.1:TLS -tls -tls-no-verify -tls-server-name=localhost
1  -addr=127.0.0.1:PORT -tls-no-verify
1  -addr=127.0.0.1:PORT -tls-ca-cert=cert.pem
1  -addr=127.0.0.1:PORT -tls-client-cert=cert.pem -tls-client-key=key.pem
1  -addr=127.0.0.1:PORT -tls-client-key=key.pem
1  -addr=127.0.0.1:PORT -tls-server-name=localhost
1  -addr=127.0.0.1:PORT -alts -spiffe
1  -addr=127.0.0.1:PORT -alts -tls
1  -addr=127.0.0.1:PORT -spiffe -tls
2  -addr=127.0.0.1:PORT -alts -connect-timeout=200ms
20 -addr=127.0.0.1:PORT -spiffe -rpc-timeout=200ms
`

// patientFlags replace the default of one second, which a busy machine may exceed. A flag
// after them has precedence.
var patientFlags = []string{"-connect-timeout=1m", "-rpc-timeout=1m"}

// TestProbeTable runs each command line with grpc-health-probe and with ours, in one
// folder, after patientFlags. Both must exit the same way, and as the table says.
func TestProbeTable(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir)
	creds, err := credentials.NewServerTLSFromFile(dir+"/cert.pem", dir+"/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(dir+"/cert.pem", dir+"/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	both := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots})
	old := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
	stock := health.NewServer()
	for name, s := range map[string]healthpb.HealthCheckResponse_ServingStatus{"serving": 1, "down": 2, "unknown": 0, "service_unknown": 3} {
		stock.SetServingStatus(name, s)
	}
	plain := func(g *grpc.Server) { healthpb.RegisterHealthServer(g, stock) }
	abstract := "meshhealth-" + filepath.Base(filepath.Dir(dir))
	serveOn(t, "unix", dir+"/health.sock", plain)
	serveOn(t, "unix", "@"+abstract, plain)
	mute := listen(t)
	t.Cleanup(func() { mute.Close() })
	names := strings.NewReplacer(
		"ABSTRACT", abstract, "DIR", dir[1:], "CLOSED", refusing(t),
		"PORT", serveOn(t, "tcp4", "127.0.0.1:0", plain),
		"TLS", serveOn(t, "tcp4", "127.0.0.1:0", plain, grpc.Creds(creds)),
		"BOTH", serveOn(t, "tcp4", "127.0.0.1:0", plain, grpc.Creds(both)),
		"OLD", serveOn(t, "tcp4", "127.0.0.1:0", plain, grpc.Creds(old)),
		"NUMBER", serveOn(t, "tcp4", "127.0.0.1:0", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, numberHealth{}) }),
		"HEADER", serveOn(t, "tcp4", "127.0.0.1:0", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, headerHealth{}) }),
		"HANG", serveOn(t, "tcp4", "127.0.0.1:0", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, hangingHealth{}) }),
		"NONE", serveOn(t, "tcp4", "127.0.0.1:0", func(*grpc.Server) {}),
		"MUTE", fmt.Sprint(mute.Addr().(*net.TCPAddr).Port),
	)
	lines := strings.Split(strings.TrimSpace(probeTable), "\n")
	if len(lines) < 60 {
		t.Fatalf("%d command lines", len(lines))
	}
	for _, line := range lines {
		fields := strings.Fields(names.Replace(line))
		args := append(slices.Clone(patientFlags), fields[1:]...)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "~", " ")
		}
		t.Run(line, func(t *testing.T) {
			theirs, said := exitIn(t, dir, nil, healthProbe, args...)
			mine, told := exitIn(t, dir, nil, meshhealth, append([]string{"probe"}, args...)...)
			if fmt.Sprint(theirs) != fields[0] || mine != theirs {
				t.Errorf("grpc-health-probe exits with %d, meshhealth probe with %d; want %s\n%s\n%s", theirs, mine, fields[0], said, told)
			}
			if mine != 0 && told == "" {
				t.Error("it says nothing")
			}
		})
	}
}

// exitIn runs a program in a folder, and returns its exit code and its output.
func exitIn(t *testing.T, dir string, env []string, name string, args ...string) (code int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// TestProxiesAreIgnored checks that no command uses a proxy that environment variables name. The
// address is 0.0.0.0, because gRPC itself uses no proxy for loopback addresses.
func TestProxiesAreIgnored(t *testing.T) {
	proxy := "http://127.0.0.1:" + refusing(t)
	env := []string{"HTTPS_PROXY=" + proxy, "https_proxy=" + proxy, "HTTP_PROXY=" + proxy, "ALL_PROXY=" + proxy, "NO_PROXY="}
	_, at, _ := coordinator(t, "--memory")
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	s := health.NewServer()
	address := "127.0.0.1:" + serveOn(t, "tcp", "127.0.0.1:0", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) })
	if code, _ := exitIn(t, t.TempDir(), env, healthProbe, "-addr=0.0.0.0:"+port, "-connect-timeout=200ms"); code != 2 {
		t.Errorf("grpc-health-probe exits with %d: the variables have no effect here", code)
	}
	for _, args := range [][]string{
		append([]string{"probe", "-addr=0.0.0.0:" + port}, patientFlags...),
		append([]string{"probe", "-addr=dns:///0.0.0.0:" + port}, patientFlags...),
		{"register", "pay/a", "--address", address, "--insecure", "--coordinator", "0.0.0.0:" + port},
		{"history", "--insecure", "--coordinator", "0.0.0.0:" + port},
		{"coordinator", "state", "--insecure", "--coordinator", "0.0.0.0:" + port},
		{"watch", "--insecure", "--coordinator", "0.0.0.0:" + port, "--for", "1ms"},
	} {
		if code, said := exitIn(t, t.TempDir(), env, meshhealth, args...); code == 2 || code == 3 {
			t.Errorf("meshhealth %v: exit %d\n%s", args, code, said)
		}
	}
}
