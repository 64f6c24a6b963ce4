package coordinator

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
)

// TestConfigIsChecked: an error names the invalid field and what is allowed.
func TestConfigIsChecked(t *testing.T) {
	for what, c := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no port":               {Config{Listen: "127.0.0.1"}, []string{"Listen: ", "127.0.0.1"}},
		"port out of range":     {Config{Listen: "127.0.0.1:70000"}, []string{"Listen: ", "70000"}},
		"beyond loopback":       {Config{Listen: "0.0.0.0:7070"}, []string{"Listen: ", "allowed without TLS: loopback"}},
		"HTTP, no port":         {Config{HTTP: "localhost"}, []string{"HTTP: "}},
		"two stores":            {Config{Store: store.NewMemory(0), DataDir: "/var/lib/x"}, []string{"DataDir: is given beside Store; allowed: one of them"}},
		"negative":              {Config{MaxInstances: -1}, []string{"MaxInstances: is -1; allowed: 1 to 1000000"}},
		"negative per peer":     {Config{MaxWatchersPerPeer: -2}, []string{"MaxWatchersPerPeer: is -2; allowed: 1 to 1000000"}},
		"policy":                {Config{Policy: health.MeshPolicy{UnreachableAfter: -1}}, []string{"Policy: ", "UnreachableAfter"}},
		"static, no address":    {Config{Static: []Target{{Service: "pay", Instance: "a"}}}, []string{"Static[0]: address: "}},
		"static, no host":       {Config{Static: []Target{{Service: "pay", Instance: "a", Address: ":80"}}}, []string{`Static[0].Address: ":80" has no host`}},
		"static, all hosts":     {Config{Static: []Target{{Service: "pay", Instance: "a", Address: "[::]:80"}}}, []string{`Static[0].Address: "[::]:80" has no host`}},
		"static, named twice":   {Config{Static: []Target{{Service: "pay", Instance: "a", Address: "127.0.0.1:1"}, {Service: "pay", Instance: "a", Address: "127.0.0.1:1"}}}, []string{"Static[1]: names pay/a, as Static[0] does"}},
		"polls too often":       {Config{PollEvery: time.Millisecond}, []string{"PollEvery: is 1ms; allowed: 1s or more"}},
		"polls backwards":       {Config{PollEvery: -1}, []string{"PollEvery: is -1ns; allowed: 1s or more"}},
		"another budget":        {Config{TargetBudget: "5"}, []string{`TargetBudget: is "5"; allowed: off, or empty for the default`}},
		"retries a Watch":       {Config{Retry: Retry{Methods: map[string]RetryRule{"grpc.health.v1.Health/Watch": {}}}}, []string{"Retry: Methods[grpc.health.v1.Health/Watch]: ", "allowed: grpc.health.v1.Health/Check"}},
		"too many":              {Config{MaxInstances: 1_000_001}, []string{"MaxInstances: is 1000001; allowed: 1 to 1000000"}},
		"IPv6":                  {Config{IPv6Prefix: 129}, []string{"IPv6Prefix: is 129; allowed: 1 to 128"}},
		"TLS, and everybody":    {Config{Listen: "0.0.0.0:7070", Credentials: insecure.NewCredentials(), InsecureOpen: true}, []string{"InsecureOpen: is true beside Credentials or Access; allowed: without them"}},
		"no policy":             {Config{Listen: "0.0.0.0:7070", Credentials: insecure.NewCredentials()}, []string{"Listen: 0.0.0.0:7070 is not a loopback address; allowed without Access (--access-policy)"}},
		"HTTP without policy":   {Config{HTTP: "0.0.0.0:7071", HTTPTLS: &tls.Config{MinVersion: tls.VersionTLS13}}, []string{"HTTP: 0.0.0.0:7071 is not a loopback address; allowed without Access (--access-policy)"}},
		"bad policy":            {Config{Access: &AccessPolicy{Rules: []access.Rule{{}}}}, []string{"Access: rules[0].name: is empty"}},
		"two kinds of networks": {Config{Access: &AccessPolicy{}, Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, []string{"Allow: is given beside Access"}},
		"long socket":           {Config{Socket: "/" + strings.Repeat("x", 103)}, []string{"Socket: has 104 bytes; allowed: at most 103"}},
		"PollEvery":             {Config{PollEvery: 721 * time.Hour}, []string{"PollEvery: is 721h0m0s; allowed: "}},
		"StoreTrust":            {Config{StoreTrust: 721 * time.Hour}, []string{"StoreTrust: is 721h0m0s; allowed: "}},
		"no StoreTrust":         {Config{StoreTrust: -1}, []string{"StoreTrust: is -1ns; allowed: "}},
		"Retry":                 {Config{Retry: Retry{RetryRule: RetryRule{Cap: 721 * time.Hour}}}, []string{"Cap: is 721h0m0s; allowed: at most 720h0m0s"}},
		"all at once":           {Config{MaxWatchers: -1, MaxConnsPerPeer: -1}, []string{"MaxWatchers: ", "MaxConnsPerPeer: "}},
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
		"beyond, with TLS":     {Listen: "0.0.0.0:7070", Credentials: insecure.NewCredentials(), Access: &AccessPolicy{}},
		"HTTP for machines":    {HTTP: "0.0.0.0:7071"},
		"beyond, insecure":     {Listen: "0.0.0.0:7070", HTTP: "[::]:7071", InsecureOpen: true},
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

// closable counts the calls of Close.
type closable struct {
	store.Store
	closes int
}

func (c *closable) Close() error { c.closes++; return nil }

// TestNewUnwinds: if New fails, it closes what it has opened, so that the next attempt can
// open it.
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

// TestRunEndsWhenAPartFails: Run ends when a listener fails.
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
