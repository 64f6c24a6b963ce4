package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/watch"
	"github.com/meshhealth/meshhealth/health"
)

// TestWrongConfigs: what each mistake is told as, with file, line and field.
// In testdata each file is followed by what is said about it.
func TestWrongConfigs(t *testing.T) {
	const file = "testdata/configs.txtar"
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var files []txtar.File
	for _, f := range archive.Files {
		if f.Name == "says" {
			continue
		}
		p := &problems{file: f.Name}
		parseConfig(p, f.Data, "/etc")
		said := "nothing\n"
		if err := p.err(); err != nil {
			said = err.Error() + "\n"
		}
		files = append(files, f, txtar.File{Name: "says", Data: []byte(said)})
	}
	golden(t, file, string(txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: files})))
}

// TestWholeConfig: every field arrives where it belongs.
func TestWholeConfig(t *testing.T) {
	text, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := &problems{file: "whole.yaml"}
	s := parseConfig(p, text, "/etc/meshhealth")
	if err := p.err(); err != nil {
		t.Fatal(err)
	}
	cfg := s.config()
	for what, c := range map[string]struct{ got, want any }{
		"listen":      {cfg.Listen, "127.0.0.1:7000"},
		"http":        {cfg.HTTP, "off"},
		"data_dir":    {cfg.DataDir, "/etc/meshhealth/data"},
		"insecure":    {cfg.Insecure, true},
		"allow":       {fmt.Sprint(cfg.Allow), "[10.0.0.0/8 fd00::/8]"},
		"trust":       {cfg.StoreTrust, 10 * time.Minute},
		"poll":        {cfg.PollEvery, 7 * time.Second},
		"retry":       {cfg.Retry.RetryRule, watch.RetryRule{Attempts: 4, Base: 2 * time.Second, Cap: 20 * time.Second}},
		"not again":   {cfg.Retry.Methods["grpc.health.v1.Health/Check"], watch.RetryRule{Attempts: 1}},
		"pauses":      {cfg.Retry.Methods["meshhealth.v1.HealthService/Check"], watch.RetryRule{Base: 500 * time.Millisecond, Cap: time.Second}},
		"hold":        {cfg.Policy.RecoverHold, 3 * time.Second},
		"after":       {cfg.Policy.RecoverAfter, 3},
		"unreachable": {cfg.Policy.UnreachableAfter, 20 * time.Second},
		"grace":       {cfg.Policy.StartupGrace, 2 * time.Minute},
		"deregister":  {cfg.Policy.DeregisterAfter, time.Duration(-1)},
		"amnesty":     {cfg.Policy.Amnesty, 40 * time.Second},
		"available":   {cfg.Policy.MinAvailable, 75},
		"half-life":   {cfg.Policy.FlapHalfLife, 90 * time.Second},
		"flap max":    {cfg.Policy.FlapMax, 5 * time.Minute},
		"guard min":   {cfg.Policy.GuardMin, 20},
		"guard max":   {cfg.Policy.GuardMax, 5 * time.Minute},
		"root":        {cfg.Policy.RootWindow, 20 * time.Second},
		"rule":        {cfg.Policy.Services["payments"].Rule, health.Worst},
		"needs":       {fmt.Sprint(cfg.Policy.Services["payments"].DependsOn), "[db queue]"},
		"likes":       {fmt.Sprint(cfg.Policy.Services["payments"].SoftDependsOn), "[legacy]"},
		"quorum":      {fmt.Sprint(cfg.Policy.Services["legacy"]), fmt.Sprint(health.ServicePolicy{Rule: health.AtLeast(2), MinAvailable: 60, Optional: true})},
		"instances":   {cfg.MaxInstances, 1000},
		"watchers":    {cfg.MaxWatchers, 2000},
		"per peer":    {cfg.MaxWatchersPerPeer, 300},
		"connections": {cfg.MaxConnsPerPeer, 40},
		"series":      {cfg.MetricInstances, -1},
		"targets":     {len(cfg.Static), 2},
		"format":      {s.log.format, "console"},
		"level":       {s.log.level, "debug"},
		"cert":        {s.tls.Cert, "/etc/meshhealth/tls/cert.pem"},
		"key":         {s.tls.Key, "/etc/meshhealth/tls/key.pem"},
		"client ca":   {s.tls.CA, "/pki/ca.pem"},
		"dial":        {s.dial.standard.tlsFiles, tlsFiles{CA: "/pki/ca.pem", ServerName: "mesh"}},
		"plaintext":   {s.dial.services["legacy"] == nil && len(s.dial.services) == 1, true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	want := coordinator.Target{
		Service: "legacy", Instance: "a", Address: "10.0.0.1:9000", HealthName: "legacy.v1", Zone: "z", Version: "1.10",
		ServerName: "legacy.internal", Labels: map[string]string{"team": "billing"},
	}
	if got := fmt.Sprintf("%+v", cfg.Static[0]); got != fmt.Sprintf("%+v", want) {
		t.Errorf("target %s, want %+v", got, want)
	}
}

// TestNoConfig: nothing said means the defaults.
func TestNoConfig(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "services:\n", "policy: {}\ntargets:\n  allow: []\n"} {
		p := &problems{file: "meshhealth.yaml"}
		s := parseConfig(p, []byte(text), "")
		if err := p.err(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if cfg := s.config(); cfg.DataDir != defaultDataDir || cfg.Listen != "" || len(cfg.Static) != 0 {
			t.Errorf("%q: %+v", text, cfg)
		}
	}
}

func TestConfigFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	large := write("large.yaml", strings.Repeat("#\n", maxConfigFile))
	certs := write("certs.yaml", "tls:\n  cert: missing.pem\n  key: missing.key\n  client_ca: certs.yaml\n")
	for name, want := range map[string]string{
		large:                           large + ": is larger than 1048576 bytes",
		certs:                           certs + ":2: tls.cert: open " + filepath.Join(dir, "missing.pem") + ": no such file or directory\n" + certs + ":2: tls.client_ca: " + fmt.Sprintf("%q", certs) + " has no certificate in it",
		filepath.Join(dir, "none.yaml"): "--config: stat " + filepath.Join(dir, "none.yaml") + ": no such file or directory",
		dir:                             "--config: read " + dir + ": is a directory",
	} {
		if _, err := readConfig(name); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestDataDir: what cannot be a folder is told from file and flag alike, with
// --check-config too.
func TestDataDir(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"loop": "loop", "dangling": "nowhere"} {
		if err := os.Symlink(to, in(name)); err != nil {
			t.Skip(err)
		}
	}
	long := strings.Repeat("x", 300)
	for name, want := range map[string]string{
		"file":       " is no folder; allowed: a folder",
		"file/below": " is no folder (not a directory); allowed: a folder",
		"loop":       " is no folder (too many levels of symbolic links); allowed: a folder",
		"dangling":   " is a link to nowhere; allowed: a folder",
		long:         " is no folder (file name too long); allowed: a folder",
		".":          "",
		"new/one":    "",
	} {
		config := in("config.yaml")
		if err := os.WriteFile(config, []byte("# first\ndata_dir: "+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if _, err := readConfig(config); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		want = fmt.Sprintf("%q", in(name)) + want
		if _, err := readConfig(config); err == nil || err.Error() != config+":2: data_dir: "+want {
			t.Errorf("%v, want %s", err, want)
		}
		if err := checkDataDir(in(name)); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// FuzzConfig: whatever a file holds, nothing panics, and every complaint names
// the file; a second reading says the same.
func FuzzConfig(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/configs.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		said := func() string {
			p := &problems{file: "x.yaml"}
			s := parseConfig(p, text, "/etc")
			if p.err() == nil {
				_ = s.config()
				return ""
			}
			return p.Error()
		}
		once := said()
		if once == "" {
			return
		}
		for line := range strings.Lines(once) {
			if !strings.HasPrefix(line, "x.yaml:") || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\x00\r") {
				t.Errorf("%q", line)
			}
		}
		if again := said(); again != once {
			t.Errorf("%q, then %q", once, again)
		}
	})
}
