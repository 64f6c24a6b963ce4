package client

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// token writes a file with a token that only its owner may read.
func token(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestTokenFiles checks which files are refused, and why.
func TestTokenFiles(t *testing.T) {
	open := token(t, "secret")
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	for want, name := range map[string]string{
		"":                                 token(t, "secret"),
		"no such file":                     filepath.Join(t.TempDir(), "none"),
		"mode 0640); allowed: mode 0600":   open,
		"is no regular file; allowed: a ":  t.TempDir(),
		"is empty; allowed: a token":       token(t, " \n"),
		"has more than 4096 bytes":         token(t, strings.Repeat("x", maxToken+1)),
		"allowed: one line of printable ":  token(t, "two\nlines"),
		"has spaces or special characters": token(t, "ü"),
	} {
		checkTokenFile(t, name, want)
	}
}

func checkTokenFile(t *testing.T, name, want string) {
	t.Helper()
	_, err := TokenFile(name)
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the error has the token: %v", err)
	}
}

// heard is a coordinator that answers nothing and passes the headers authorization of its calls to got.
func heard(t *testing.T, l net.Listener, options ...grpc.ServerOption) (got chan []string) {
	t.Helper()
	got = make(chan []string, 100)
	options = append(options, grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		got <- metadata.ValueFromIncomingContext(ctx, "authorization")
		return &pb.CheckResponse{}, nil
	}))
	g := grpc.NewServer(options...)
	pb.RegisterHealthServiceServer(g, pb.UnimplementedHealthServiceServer{})
	ended := make(chan struct{})
	go func() { defer close(ended); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-ended })
	return got
}

// TestTokenIsSent checks that a token is sent with each call over TLS and over a unix socket, and is read again for
// each. In plaintext there is no client.
func TestTokenIsSent(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no unix socket")
	}
	ca := nettest.NewAuthority(t)
	listen := func(network, address string) net.Listener {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	secured, plain, socket := listen("tcp", "127.0.0.1:0"), listen("tcp", "127.0.0.1:0"), listen("unix", filepath.Join(t.TempDir(), "s"))
	file := token(t, "one\n")
	server := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{ca.Certificate("localhost", time.Hour)}, MinVersion: tls.VersionTLS13})
	for _, c := range []struct {
		config Config
		got    chan []string
	}{
		{
			Config{Coordinator: secured.Addr().String(), Credentials: credentials.NewTLS(&tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS13})},
			heard(t, secured, grpc.Creds(server)),
		},
		{Config{Coordinator: "unix:" + socket.Addr().String()}, heard(t, socket)},
	} {
		c.config.TokenFile = file
		one, err := New(c.config)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"one", "two"} {
			if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := pb.NewHealthServiceClient(one.Conn()).Check(t.Context(), &pb.CheckRequest{}); err != nil {
				t.Fatal(err)
			}
			if got := <-c.got; len(got) != 1 || got[0] != "Bearer "+text {
				t.Errorf("%s: the coordinator got %q, want one Bearer %s", c.config.Coordinator, got, text)
			}
		}
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := New(Config{Coordinator: plain.Addr().String(), TokenFile: file})
	if err == nil || !strings.Contains(err.Error(), "TokenFile: is set, and the connection is in plaintext; allowed: with Credentials") {
		t.Errorf("a client with a token in plaintext: %v", err)
	}
	conn, err := grpc.NewClient(plain.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(tokenFile(file)))
	if err == nil {
		defer conn.Close()
		_, err = pb.NewHealthServiceClient(conn).Check(t.Context(), &pb.CheckRequest{})
	}
	if err == nil {
		t.Error("a token was sent in plaintext")
	}
}
