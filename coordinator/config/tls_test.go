package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// TestHTTPTLS checks when the HTTP port speaks TLS.
func TestHTTPTLS(t *testing.T) {
	cert, key := nettest.NewAuthority(t).Issue(t.TempDir(), "mesh", time.Hour)
	files := &TLS{Cert: cert, Key: key}
	for _, c := range []struct {
		tls     *TLS
		httpTLS string
		err     error
		want    bool
	}{{nil, "", nil, false}, {nil, coordinator.Off, nil, false}, {nil, On, ErrNoHTTPTLS, false}, {files, "", nil, true}, {files, On, nil, true}, {files, coordinator.Off, nil, false}} {
		s := &Settings{TLS: c.tls, HTTPTLS: c.httpTLS}
		cfg, closeFiles, err := s.Open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		closeFiles()
		if !errors.Is(s.Check(), c.err) || cfg.HTTPTLS != nil != c.want {
			t.Errorf("tls %v, http_tls %q: %v, TLS %v", c.tls != nil, c.httpTLS, s.Check(), cfg.HTTPTLS != nil)
		}
	}
}

// TestSharedSource checks that sections with the same files share one source, and that each section
// has an entry for the metrics.
func TestSharedSource(t *testing.T) {
	dir, ca := t.TempDir(), nettest.NewAuthority(t)
	cert, key := ca.Issue(dir, "mesh", time.Hour)
	files := func() *TLS { return &TLS{Cert: cert, Key: key, CA: ca.Roots(dir)} }
	renamed := files()
	renamed.ServerName = "other"
	s := &Settings{TLS: files(), Dial: Dial{Default: files(), Services: map[string]*TLS{
		"b": renamed, "a": {CA: ca.Roots(dir)}, "plain": nil,
	}}}
	cfg, closeFiles, err := s.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFiles()
	var sections []string
	for _, c := range cfg.Certificates {
		sections = append(sections, c.Section)
		if shares := c.Source == cfg.Certificates[0].Source; shares == (c.Section == "dial.services.a") {
			t.Errorf("%s shares the source of tls: %v", c.Section, shares)
		}
	}
	if got := strings.Join(sections, " "); got != "tls dial.default dial.services.a dial.services.b" {
		t.Error(got)
	}
	if plain, ok := cfg.Dial.Services["plain"]; !ok || plain != nil {
		t.Errorf("plain: %v, %v", plain, ok)
	}
}

// TestUnreadableFiles checks that a configured file that cannot be used is an error of Open. Nothing
// falls back to plaintext or to the roots of the system.
func TestUnreadableFiles(t *testing.T) {
	dir, ca := t.TempDir(), nettest.NewAuthority(t)
	cert, key := ca.Issue(dir, "mesh", time.Hour)
	for want, s := range map[string]*Settings{
		"tls: Roots: open ":            {TLS: &TLS{Cert: cert, Key: key, CA: dir + "/none.pem"}},
		"tls: Cert: open ":             {TLS: &TLS{Cert: dir + "/none.pem", Key: key}},
		"dial.default: Roots: open ":   {Dial: Dial{Default: &TLS{CA: dir + "/none.pem"}}},
		"dial.services.pay: Roots: \"": {Dial: Dial{Services: map[string]*TLS{"pay": {CA: key}}}},
	} {
		if cfg, _, err := s.Open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) || cfg.Credentials != nil || cfg.Dial.Credentials != nil {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestListenersOffLoopback checks that the error about a listener that would admit everybody names the setting.
func TestListenersOffLoopback(t *testing.T) {
	const off = "0.0.0.0:7070"
	for _, c := range []struct {
		s    Settings
		err  error
		text string
	}{
		{Settings{Coordinator: coordinator.Config{Listen: off}}, ErrPlaintext, "listen: 0.0.0.0:7070 in plaintext would"},
		{Settings{Coordinator: coordinator.Config{Listen: off}, AccessPolicy: "p"}, ErrPlaintext, "listen: 0.0.0.0:7070 in plaintext would"},
		{Settings{Coordinator: coordinator.Config{Listen: off}, TLS: &TLS{}}, ErrNoAccessPolicy, "listen: 0.0.0.0:7070 without an access policy"},
		{Settings{Coordinator: coordinator.Config{HTTP: off}, TLS: &TLS{}}, ErrNoAccessPolicy, "http: 0.0.0.0:7070 without an access policy"},
		{Settings{Coordinator: coordinator.Config{HTTP: off}, TLS: &TLS{}, HTTPTLS: coordinator.Off}, nil, ""},
		{Settings{Coordinator: coordinator.Config{HTTP: off}}, nil, ""},
		{Settings{Coordinator: coordinator.Config{Listen: off, HTTP: off}, TLS: &TLS{}, AccessPolicy: "p"}, nil, ""},
		{Settings{Coordinator: coordinator.Config{Listen: off, InsecureOpen: true}}, nil, ""},
		{Settings{Coordinator: coordinator.Config{Listen: off, InsecureOpen: true}, AccessPolicy: "p"}, ErrInsecure, ""},
	} {
		if err := c.s.Check(); !errors.Is(err, c.err) || err != nil && !strings.HasPrefix(err.Error(), c.text) {
			t.Errorf("%v, want %v with the text %q", err, c.err, c.text)
		}
	}
}
