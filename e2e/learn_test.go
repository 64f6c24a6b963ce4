//go:build e2e

package e2e

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/server"
)

// widePolicy allows everything to callers with an identity. The token is "secret".
const widePolicy = `version: 1
trust_domain: meshhealth.internal
tokens: {ci: ["sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"]}
rules:
  - name: wide
    who: [authenticated]
    register: {services: ["*"], addresses: [peer, 127.0.0.0/8]}
    read: {services: ["*"], detail: evidence}
    route: {services: ["*"]}
    override: {services: ["*"]}
    admin: true
`

// learnRig is a folder with an authority, and two services that run all the time.
type learnRig struct {
	t        *testing.T
	dir      string
	services map[string]*server.Server
	at       map[string]string // address of each service
}

func newLearnRig(t *testing.T) *learnRig {
	r := &learnRig{t: t, dir: filepath.Join(t.TempDir(), "certs"), services: map[string]*server.Server{}, at: map[string]string{}}
	if _, stderr, code := call(t, meshhealth, "cert", "init", "--dir", r.dir, "--service", "payments,orders", "--operator", "ann"); code != 0 {
		t.Fatal(stderr)
	}
	r.write("access.yaml", widePolicy)
	r.write("ci.token", "secret")
	for _, name := range []string{"payments", "orders"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv, err := server.New(server.Config{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		g := grpc.NewServer(grpc.Creds(r.source("service-" + name).Server()))
		srv.Register(g)
		go srv.Run(t.Context())
		go func() { _ = g.Serve(l) }()
		t.Cleanup(g.Stop)
		r.services[name], r.at[name] = srv, l.Addr().String()
	}
	return r
}

func (r *learnRig) file(name string) string { return filepath.Join(r.dir, name) }

func (r *learnRig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file(name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *learnRig) source(name string) *certs.Source {
	r.t.Helper()
	return r.open(certs.Files{Cert: r.file(name + ".pem"), Key: r.file(name + "-key.pem"), Roots: r.file("ca.pem")})
}

func (r *learnRig) open(f certs.Files) *certs.Source {
	r.t.Helper()
	s, err := certs.Open(f, certs.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(s.Close)
	return s
}

// start runs a coordinator with the policy in access.yaml.
func (r *learnRig) start() (p *process, at string) {
	p, at, _ = coordinator(r.t, "--config", r.file("meshhealth.yaml"), "--memory")
	return p, at
}

// as returns the flags of a command for an identity.
func (r *learnRig) as(name, at string) []string {
	flags := []string{"--coordinator", at, "--tls-ca", r.file("ca.pem"), "--server-name", "localhost"}
	if name == "ci" {
		return append(flags, "--token-file", r.file("ci.token"))
	}
	return append(flags, "--tls-cert", r.file(name+".pem"), "--tls-key", r.file(name+"-key.pem"))
}

// calls makes the calls of all callers, and returns the error of each. The instances stay registered.
func (r *learnRig) calls(at string) map[string]error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	errs := map[string]error{}
	for name, srv := range r.services {
		c, err := client.New(client.Config{Coordinator: at, Credentials: r.source("service-" + name).Client(certs.Dial{ServerName: "localhost"})})
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { _ = c.Close() })
		_, err = c.Register(ctx, client.Instance{Service: name, Instance: "a", Address: r.at[name], Feed: srv.Feed()})
		errs[name+" registers"] = err
		for u, err := range c.Watch(ctx, client.WatchOptions{Services: []string{"payments"}}) {
			if err != nil {
				errs[name+" watches"] = err
				break
			}
			if u.SnapshotEnd {
				break
			}
		}
	}
	run := func(what, who string, args ...string) {
		// Exit codes below 3 tell a status.
		if _, stderr, code := call(r.t, meshhealth, append(args, r.as(who, at)...)...); code >= 3 {
			errs[what] = errors.New(stderr)
		}
	}
	run("ci reads", "ci", "status", "payments")
	run("ann explains", "operator-ann", "explain", "payments/a")
	run("ann forces", "operator-ann", "override", "set", "orders/a", "DEGRADED", "--reason", "test", "--for", "30m")
	return errs
}

// TestLearn learns a policy from the calls of services, a token and an operator. The coordinator then starts with
// this policy. The same calls work, and others are refused.
func TestLearn(t *testing.T) {
	r := newLearnRig(t)
	c, at := r.start()
	learn := start(t, r.dir, "sh", append([]string{"-c", `exec meshhealth policy learn --for 1h "$@" > learnt.yaml`, "sh"}, r.as("operator-ann", at)...)...)
	learn.line("learning at " + at)
	for what, err := range r.calls(at) {
		if err != nil {
			t.Errorf("while it learns, %s: %v", what, err)
		}
	}
	learn.stop(syscall.SIGINT)
	c.stop(syscall.SIGTERM)
	learnt, err := os.ReadFile(r.file("learnt.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r.write("access.yaml", string(learnt))
	rules, stderr, code := call(t, meshhealth, "policy", "check", r.file("access.yaml"))
	if code != 0 || stderr != "" || !strings.Contains(string(learnt), "No rule has admin.") {
		t.Errorf("%s\npolicy check: exit %d, %s", learnt, code, stderr)
	}
	for _, want := range []string{"operator/ann", "read payments (detail evidence)", "override orders (up to 30m)", "token:ci", "up to 10 instances", "route payments"} {
		if !strings.Contains(rules, want) {
			t.Errorf("no rule has %q:\n%s", want, rules)
		}
	}
	_, at = r.start()
	for what, err := range r.calls(at) {
		if err != nil {
			t.Errorf("with the learnt policy, %s: %v", what, err)
		}
	}
	for _, refused := range [][]string{
		{"operator-ann", "explain", "orders/a"},
		{"operator-ann", "override", "set", "payments/a", "DEGRADED", "--reason", "test", "--for", "30m"},
		{"operator-ann", "override", "set", "orders/a", "DEGRADED", "--reason", "test", "--for", "31m"},
		{"operator-ann", "policy", "learn"},
		{"ci", "routes", "payments"},
		{"ci", "status", "orders"},
		{"service-orders", "register", "payments/b", "--address", r.at["orders"]},
		{"service-orders", "register", "orders/b", "--address", "127.0.0.1:1"},
		{"service-payments", "status", "orders"},
	} {
		if stdout, _, code := call(t, meshhealth, append(refused[1:], r.as(refused[0], at)...)...); code < 3 {
			t.Errorf("%q is allowed: exit %d, %s", refused, code, stdout)
		}
	}
	anonymous, err := grpc.NewClient(at, grpc.WithTransportCredentials(r.open(certs.Files{Roots: r.file("ca.pem")}).Client(certs.Dial{ServerName: "localhost"})))
	if err != nil {
		t.Fatal(err)
	}
	defer anonymous.Close()
	if _, err := healthpb.NewHealthClient(anonymous).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "payments"}); status.Code(err) != codes.NotFound {
		t.Errorf("a caller without an identity reads payments: %v", err)
	}
}
