package main

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
)

// TestFirstSetUp checks that two commands are enough for TLS on both sides: an operator and a service
// have rights, an instance is followed by TLS, and without a certificate there are no rights.
func TestFirstSetUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my certs")
	s := shell{now: time.Now}
	stdout, stderr, code := s.run(t.Context(), "cert", "init", "--dir", dir, "--service", "payments", "--service", "orders", "--operator", "alice")
	if code != exitOK || stderr != "" || !strings.Contains(stdout, "Next: meshhealth coordinator --config '"+dir+"/meshhealth.yaml'") {
		t.Fatalf("code %d, %q, %q", code, stdout, stderr)
	}
	at := coordinates(t, "--config", filepath.Join(dir, "meshhealth.yaml"))

	file := func(name string) string { return filepath.Join(dir, name) }
	source, err := certs.Open(certs.Files{Cert: file("service-payments.pem"), Key: file("service-payments-key.pem"), Roots: file("ca.pem")}, certs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	g := grpc.NewServer(grpc.Creds(source.Server()))
	healthpb.RegisterHealthServer(g, stock.NewServer())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = g.Serve(l) }()
	defer func() { g.Stop(); <-served }()

	live := &live{t: t, at: at, shell: shell{env: map[string]string{coordinatorEnv: at}, now: time.Now}}
	as := func(name string, args ...string) []string {
		return append(args, "--tls-ca", file("ca.pem"), "--tls-cert", file(name+".pem"), "--tls-key", file(name+"-key.pem"))
	}
	live.does(0, as("service-payments", "register", "payments/a", "--address", l.Addr().String())...)
	live.does(0, as("operator-alice", "status", "payments/a", "--wait", "SERVING", "--timeout", "1m")...)
	stdout, _ = live.does(0, as("operator-alice", "doctor")...)
	if !strings.Contains(stdout, "this caller may read everything") {
		t.Errorf("%s", stdout)
	}
	live.does(0, as("operator-alice", "override", "set", "payments/a", "DEGRADED", "--reason", "a test", "--for", "1h")...)
	for _, refused := range []struct{ want, command []string }{
		{
			[]string{"a caller without an identity may not register orders/a", "--tls-cert"},
			[]string{"register", "orders/a", "--address", l.Addr().String(), "--tls-ca", file("ca.pem")},
		},
		{[]string{"/service/payments may not register orders/a"}, as("service-payments", "register", "orders/a", "--address", l.Addr().String())},
		{[]string{"/service/orders may not override payments/a"}, as("service-orders", "override", "clear", "payments/a")},
		{[]string{"10.0.0.7"}, as("service-orders", "register", "orders/a", "--address", "10.0.0.7:1")},
	} {
		_, stderr := live.does(3, refused.command...)
		wantAll(t, stderr, refused.want...)
	}
}

// TestCertIssueRule checks that the rule for a new service, which the command prints, belongs into the access policy.
func TestCertIssueRule(t *testing.T) {
	dir := t.TempDir()
	s := shell{now: time.Now}
	if _, stderr, code := s.run(t.Context(), "cert", "init", "--dir", dir); code != exitOK {
		t.Fatal(stderr)
	}
	stdout, stderr, code := s.run(t.Context(), "cert", "issue", "service", "orders.v1", "--dir", dir)
	_, rule, found := strings.Cut(stdout, "Then: add a rule to the access policy:\n")
	if code != exitOK || !found {
		t.Fatalf("code %d: %s%s", code, stdout, stderr)
	}
	file := filepath.Join(dir, certPolicy)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(before), "orders") {
		t.Errorf("%s", before)
	}
	policy, err := config.ParseAccessPolicy(file, append(before, rule...))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := access.Compile(policy)
	if err != nil {
		t.Fatal(err)
	}
	rights := compiled.For("spiffe://meshhealth.internal/service/orders.v1")
	for service, want := range map[string]bool{"orders.v1": true, "orders": false} {
		if _, allowed := rights.Allows(access.VerbRegister, access.Of(health.ID{Service: service})); allowed != want {
			t.Errorf("register %s: %v, want %v", service, allowed, want)
		}
	}
	// A renewed certificate needs no rule, because the policy has one.
	if stdout, _, _ := s.run(t.Context(), "cert", "issue", "service", "orders.v1", "--dir", dir); strings.Contains(stdout, "add a rule") {
		t.Errorf("%s", stdout)
	}
}

// TestCertShow checks the results of each check, and the exit codes.
func TestCertShow(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	var s shell
	for _, args := range [][]string{
		{"cert", "init", "--dir", dir, "--service", "pay", "--trust-domain", "mesh.example", "--host", "health.example", "--host", "10.0.0.7"},
		{"cert", "init", "--dir", other},
	} {
		if _, stderr, code := s.run(t.Context(), args...); code != exitOK {
			t.Fatal(stderr)
		}
	}
	cert := filepath.Join(dir, "coordinator.pem")
	shows := func(at time.Time, code int, args []string, wants ...string) {
		t.Helper()
		s := shell{now: func() time.Time { return at }}
		stdout, stderr, got := s.run(t.Context(), append([]string{"cert", "show"}, args...)...)
		if got != code {
			t.Errorf("code %d, want %d: %s%s", got, code, stdout, stderr)
		}
		wantAll(t, stdout+stderr, wants...)
	}
	day := 24 * time.Hour
	shows(noon, 0, []string{cert}, "Subject   CN=coordinator,O=mesh.example\n", "Identity  spiffe://mesh.example/coordinator\n",
		"health.example", "10.0.0.7", "For       servers, clients\n", "Valid     2026-03-04T11:00:00Z to 2026-06-02T12:00:00Z\n", "Expiry    in 90d\n",
		"signed by an authority in "+filepath.Join(dir, "ca.pem"), "coordinator-key.pem belongs to it")
	shows(noon.Add(77*day), 1, []string{cert}, "Expiry    in 13d; issue a new certificate")
	shows(noon.Add(91*day), 2, []string{cert}, "expired 1d ago; issue a new certificate, or set the clock", "signed by an authority")
	shows(noon.Add(-day), 2, []string{cert}, "not valid yet: the clock here says 2026-03-03T12:00:00Z")
	shows(noon, 2, []string{cert, "--ca", filepath.Join(other, "ca.pem")}, "not signed by an authority in "+filepath.Join(other, "ca.pem"))
	shows(noon, 0, []string{filepath.Join(dir, "ca.pem")}, "For       an authority\n")
	shows(noon, 3, []string{filepath.Join(dir, "coordinator-key.pem")}, "has no certificate in it", "Give this file, and not that of its key.")
	shows(noon, 3, []string{cert, "--ca", filepath.Join(dir, "none.pem")}, "--ca: open ")

	alone := filepath.Join(t.TempDir(), "alone.pem")
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(alone, text, 0o600); err != nil {
		t.Fatal(err)
	}
	shows(noon, 0, []string{alone}, "Chain     not checked", "give --ca FILE")
	key, err := os.ReadFile(filepath.Join(dir, "service-pay-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(alone, ".pem")+".key", key, 0o600); err != nil {
		t.Fatal(err)
	}
	shows(noon, 2, []string{alone}, "alone.key cannot be used with it: tls: private key does not match")
}

// TestCertIssue checks that a renewal makes a new pair with the same names, and that wrong uses say
// what to do.
func TestCertIssue(t *testing.T) {
	dir := t.TempDir()
	var s shell
	if _, stderr, code := s.run(t.Context(), "cert", "issue", "coordinator", "--dir", dir); code != exitFail || !strings.Contains(stderr, "Make an authority with `meshhealth cert init`") {
		t.Errorf("without an authority: code %d, %s", code, stderr)
	}
	if _, stderr, code := s.run(t.Context(), "cert", "init", "--dir", dir, "--host", "health.example"); code != exitOK {
		t.Fatal(stderr)
	}
	if _, stderr, code := s.run(t.Context(), "cert", "init", "--dir", dir); code != exitFail || !strings.Contains(stderr, "exists already; nothing was written") {
		t.Errorf("a second init: code %d, %s", code, stderr)
	}
	load := func(name string) tls.Certificate {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	before := load("coordinator").Leaf
	stdout, _, code := s.run(t.Context(), "cert", "issue", "coordinator", "--dir", dir, "--days", "10")
	after := load("coordinator").Leaf
	if code != exitOK || !strings.HasPrefix(stdout, "Renewed ") || after.Equal(before) || strings.Join(after.DNSNames, " ") != strings.Join(before.DNSNames, " ") {
		t.Errorf("code %d, %s, names %v", code, stdout, after.DNSNames)
	}
	stdout, _, code = s.run(t.Context(), "cert", "issue", "service", "pay", "--dir", dir, "--host", "pay.example")
	if names := strings.Join(load("service-pay").Leaf.DNSNames, " "); code != exitOK || !strings.HasPrefix(stdout, "Made ") || names != "pay localhost pay.example" {
		t.Errorf("code %d, %s, names %s", code, stdout, names)
	}
}
