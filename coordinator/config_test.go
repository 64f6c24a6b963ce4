package coordinator

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/watch"
	"github.com/meshhealth/meshhealth/health"
)

// TestConfigIsChecked: each mistake is named by its field, with what is
// allowed.
func TestConfigIsChecked(t *testing.T) {
	for what, c := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no port":             {Config{Listen: "127.0.0.1"}, []string{"Listen: ", "127.0.0.1"}},
		"port out of range":   {Config{Listen: "127.0.0.1:70000"}, []string{"Listen: ", "70000"}},
		"beyond loopback":     {Config{Listen: "0.0.0.0:7070"}, []string{"Listen: ", "allowed without TLS: loopback"}},
		"HTTP, no port":       {Config{HTTP: "localhost"}, []string{"HTTP: "}},
		"HTTP, beyond":        {Config{HTTP: ":7071"}, []string{"HTTP: ", "allowed without TLS: loopback"}},
		"two stores":          {Config{Store: store.NewMemory(0), DataDir: "/var/lib/x"}, []string{"DataDir: is given beside Store; allowed: one of them"}},
		"negative":            {Config{MaxInstances: -1}, []string{"MaxInstances: is -1; allowed: 1 or more"}},
		"negative per peer":   {Config{MaxWatchersPerPeer: -2}, []string{"MaxWatchersPerPeer: is -2; allowed: 1 or more"}},
		"policy":              {Config{Policy: health.MeshPolicy{UnreachableAfter: -1}}, []string{"Policy: ", "UnreachableAfter"}},
		"static, no address":  {Config{Static: []Target{{Service: "pay", Instance: "a"}}}, []string{"Static[0]: address: "}},
		"static, named twice": {Config{Static: []Target{{Service: "pay", Instance: "a", Address: "127.0.0.1:1"}, {Service: "pay", Instance: "a", Address: "127.0.0.1:1"}}}, []string{"Static[1]: names pay/a, as Static[0] does"}},
		"polls too often":     {Config{PollEvery: time.Millisecond}, []string{"PollEvery: is 1ms; allowed: 1s or more"}},
		"polls backwards":     {Config{PollEvery: -1}, []string{"PollEvery: is -1ns; allowed: 1s or more"}},
		"retries a Watch":     {Config{Retry: watch.Retry{Methods: map[string]watch.RetryRule{"grpc.health.v1.Health/Watch": {}}}}, []string{"Retry: Methods[grpc.health.v1.Health/Watch]: ", "allowed: grpc.health.v1.Health/Check"}},
		"all at once":         {Config{MaxWatchers: -1, MaxConnsPerPeer: -1}, []string{"MaxWatchers: ", "MaxConnsPerPeer: "}},
	} {
		t.Run(what, func(t *testing.T) {
			c.cfg.setDefaults()
			err := c.cfg.validate()
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q: want %q in it", err, want)
				}
			}
		})
	}
}

func TestGoodConfigs(t *testing.T) {
	for what, cfg := range map[string]Config{
		"zero":                 {},
		"beyond, with TLS":     {Listen: "0.0.0.0:7070", Credentials: insecure.NewCredentials()},
		"beyond, insecure":     {Listen: "0.0.0.0:7070", HTTP: "[::]:7071", Insecure: true},
		"IPv6 loopback":        {Listen: "[::1]:7070"},
		"no HTTP":              {HTTP: Off},
		"no series":            {MetricInstances: -1},
		"a listener of theirs": {Listen: "nonsense", Listener: &net.TCPListener{}, HTTP: Off},
	} {
		cfg.setDefaults()
		if err := cfg.validate(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// closable counts how often it is closed.
type closable struct {
	store.Store
	closes int
}

func (c *closable) Close() error { c.closes++; return nil }

// TestNewUnwinds: what New has opened before it failed is closed, so that the
// next attempt finds it free.
func TestNewUnwinds(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, StoreFile), []byte("not a store"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := l.Addr().String()
	s := &closable{Store: store.NewMemory(0)}
	if _, err := New(t.Context(), Config{Listen: taken, HTTP: Off, Store: s}); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("the port is taken: %v", err)
	}
	if s.closes != 1 {
		t.Errorf("the store was closed %d times, want once", s.closes)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Config{Listen: taken, HTTP: Off, DataDir: dir}); err == nil || !strings.Contains(err.Error(), StoreFile) {
		t.Errorf("a damaged store: %v", err)
	}
	c, err := New(t.Context(), Config{Listen: taken, HTTP: Off})
	if err != nil {
		t.Fatalf("the port was kept: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestRunEndsWhenAPartFails: a coordinator without its listener is none.
func TestRunEndsWhenAPartFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &closable{Store: store.NewMemory(0)}
	c, err := New(t.Context(), Config{Listener: l, HTTP: Off, Store: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "gRPC") {
		t.Errorf("Run: %v, want that gRPC's listener is closed", err)
	}
	if s.closes != 1 {
		t.Errorf("the store was closed %d times, want once", s.closes)
	}
}
