package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// TestPaths checks that paths with ~ or variables are refused with the reason.
func TestPaths(t *testing.T) {
	for path, want := range map[string]string{
		"~": "only a shell", "~/x": "only a shell", "~ann/x": "only a shell", "$HOME/x": "only a shell", "/a/${B}": "only a shell", "/a/$(pwd)": "only a shell",
		"/a~": "", "./~": "", "/a/$": "", "/a/$1": "", "": "", "/a/b": "",
	} {
		if err := input.CheckPath(path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "c.yaml")
	for field, text := range map[string]string{
		"data_dir":                  "data_dir: ~/data\n",
		"tls.cert":                  "tls: {cert: $HOME/c.pem, key: k.pem}\n",
		"tls.client_ca":             "tls: {cert: c.pem, key: k.pem, client_ca: \"${CA}\"}\n",
		"dial.default.tls.ca":       "dial: {default: {tls: {ca: ~/ca.pem}}}\n",
		"dial.services.pay.tls.key": "dial: {services: {pay: {tls: {cert: c.pem, key: $K}}}}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(t.Context(), file)
		if err == nil || !strings.HasPrefix(err.Error(), file+":1: "+field+": ") || !strings.Contains(err.Error(), "only a shell replaces") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
	wantProbe(t, probeArguments, "only a shell replaces", "-addr=:1", "-tls", "-tls-ca-cert=~/ca.pem")
	wantProbe(t, probeArguments, "only a shell replaces", "-addr=:1", "-tls", "-tls-client-cert=$C", "-tls-client-key=k")
	for _, args := range [][]string{
		{"coordinator", "--config", "~/c.yaml"},
		{"coordinator", "--config=$HOME/c.yaml"},
		{"coordinator", "--data-dir=~/data"},
		{"coordinator", "--tls-cert", "~/c.pem", "--tls-key", "~/k.pem"},
		{"status", "--tls-ca", "${CA}"},
		{"register", "-f", "~/services.yaml"},
		{"coordinator", "--tls-client-ca", "$CA", "--tls-cert", "c", "--tls-key", "k"},
	} {
		var s shell
		if _, stderr, code := s.run(t.Context(), args...); code != exitFail || !strings.Contains(stderr, "only a shell replaces") {
			t.Errorf("%v: %d, %s", args, code, stderr)
		}
	}
}

// TestOldTLS checks that a target with TLS 1.2 is refused, unless min_version allows it for
// its service.
func TestOldTLS(t *testing.T) {
	dir, ca := t.TempDir(), nettest.NewAuthority(t)
	cert, key := ca.Issue(dir, "localhost", time.Hour)
	ca.Roots(dir)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})))
	healthpb.RegisterHealthServer(g, stock.NewServer())
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })

	file := filepath.Join(dir, "c.yaml")
	text := fmt.Sprintf(`dial:
  default: {tls: {ca: %[1]s}}
  services:
    old: {tls: {ca: %[1]s, min_version: 1.2}}
services:
  - {service: old, instance: a, address: %[2]q}
  - {service: new, instance: a, address: %[2]q}
`, filepath.Base(ca.Roots(dir)), l.Addr())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := config.Load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	s.Coordinator.DataDir = coordinator.Off
	cfg, closeFiles, err := s.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeFiles)
	live := newLive(t, cfg)
	live.becomes("old/a", pb.Status_STATUS_SERVING)
	live.becomes("new/a", pb.Status_STATUS_UNKNOWN)
	if stdout, _ := live.does(3, "status", "new/a"); !strings.Contains(stdout, "tls") {
		t.Error(stdout)
	}
}
