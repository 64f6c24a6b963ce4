package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/nettest"
)

// coordinates runs the coordinator command and returns its address.
func coordinates(t *testing.T, args ...string) string {
	t.Helper()
	var s shell
	a := s.app()
	at := make(chan string, 1)
	a.listening = func(grpc, _ string) { at <- grpc }
	a.stderr = io.Discard
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	args = append([]string{"coordinator", "--memory", "--listen", "127.0.0.1:0", "--http", "off"}, args...)
	go func() { ended <- a.run(ctx, args) }()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitOK {
			t.Errorf("the coordinator ended with %d", code)
		}
	})
	select {
	case address := <-at:
		return address
	case code := <-ended:
		t.Fatalf("the coordinator ended with %d", code)
		return ""
	}
}

// TestTLS checks a policy under which everybody may read statuses, and registering needs a certificate.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca := nettest.NewAuthority(t)
	roots := ca.Roots(dir)
	cert, key := ca.Issue(dir, "mesh", time.Hour)
	mine, myKey := ca.Issue(dir, "deploy", time.Hour)
	at := coordinates(t, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", roots, "--access-policy", "testdata/access.yaml")
	l := &live{t: t, at: at, shell: shell{env: map[string]string{coordinatorEnv: at}}}
	register := []string{"register", "pay/a", "--address", "127.0.0.1:9", "--tls-ca", roots}
	if _, stderr := l.does(3, register...); !strings.Contains(stderr, "a caller without an identity may not register pay/a") {
		t.Errorf("%q", stderr)
	}
	l.does(0, append(register, "--tls-cert", mine, "--tls-key", myKey)...)
	if stdout, _ := l.does(1, "status", "pay", "--tls-ca", roots); !strings.Contains(stdout, "pay/a") {
		t.Errorf("%q", stdout)
	}
	for hint, args := range map[string][]string{
		"may not read the routes of pay":           {"routes", "pay", "--tls-ca", roots},
		"may not read the routes of any service":   {"envoy", "eds", "pay", "--tls-ca", roots},
		"may not read * with detail: evidence":     {"xds", "status", "--tls-ca", roots},
		"It may want TLS":                          {"status"},
		"Check --tls-ca":                           {"status", "--tls-ca", nettest.NewAuthority(t).Roots(t.TempDir())},
		"valid for mesh, 127.0.0.1, not for other": {"status", "--tls-ca", roots, "--server-name", "other"},
		"--tls-cert: is given without key":         {"status", "--tls-cert", mine},
		"tls: private key does not match":          {"status", "--tls-cert", mine, "--tls-key", key},
	} {
		if _, stderr := l.does(3, args...); !strings.Contains(stderr, hint) {
			t.Errorf("%q: %q", args, stderr)
		}
	}
}

// TestWrongTLSFiles checks that faults of TLS files are reported before the start.
func TestWrongTLSFiles(t *testing.T) {
	dir := t.TempDir()
	ca := nettest.NewAuthority(t)
	old, oldKey := ca.Issue(dir, "old", -time.Minute)
	cert, key := ca.Issue(dir, "mesh", time.Hour)
	other, otherKey := ca.Issue(t.TempDir(), "other", time.Hour)
	var s shell
	for want, args := range map[string][]string{
		"--tls-cert: \"" + old + "\" expired at ":          {"--tls-cert", old, "--tls-key", oldKey},
		"--tls-cert: tls: private key does not match":      {"--tls-cert", cert, "--tls-key", oldKey},
		"--tls-key: \"" + otherKey + "\" is not in the fo": {"--tls-cert", cert, "--tls-key", otherKey},
		"--tls-client-ca: \"" + key + "\" has no certific": {"--tls-cert", cert, "--tls-key", key, "--tls-client-ca", key},
		"--tls-cert: open " + other + "x: no such":         {"--tls-cert", other + "x", "--tls-key", otherKey},
	} {
		_, stderr, code := s.run(t.Context(), append([]string{"coordinator", "--check-config"}, args...)...)
		if code != exitFail || !strings.Contains(stderr, want) {
			t.Errorf("%q: code %d, %q, want %q", args, code, stderr, want)
		}
	}
}
