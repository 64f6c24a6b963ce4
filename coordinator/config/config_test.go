package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/input"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata")

// TestWrongConfigs checks the error of each faulty file. In testdata, each file is followed
// by its error.
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
		said := "nothing\n"
		if _, err := Parse(f.Name, f.Data, "/etc"); err != nil {
			said = err.Error() + "\n"
		}
		files = append(files, f, txtar.File{Name: "says", Data: []byte(said)})
	}
	got := txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: files})
	if *rewrite {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d: got %s, want %s", file, i+1, g[i], w[i])
		}
	}
	if len(g) != len(w) {
		t.Fatalf("%s: %d lines, want %d", file, len(g), len(w))
	}
}

// TestWholeConfig checks that every key of a file sets its field.
func TestWholeConfig(t *testing.T) {
	text, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse("whole.yaml", text, "/etc/meshhealth")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.Coordinator
	for what, c := range map[string]struct{ got, want any }{
		"listen":        {cfg.Listen, "127.0.0.1:7000"},
		"http":          {cfg.HTTP, "off"},
		"http_tls":      {s.HTTPTLS, "off"},
		"hosts":         {fmt.Sprint(cfg.HTTPHosts), "[status.example.com mesh.internal]"},
		"prefix":        {cfg.WebPrefix, "/mesh"},
		"web":           {cfg.Web, coordinator.Off},
		"data_dir":      {cfg.DataDir, "/etc/meshhealth/data"},
		"insecure_open": {cfg.InsecureOpen, true},
		"access_policy": {s.AccessPolicy, "/etc/meshhealth/access.yaml"},
		"socket":        {cfg.Socket, "/etc/meshhealth/mesh.sock"},
		"allow":         {fmt.Sprint(cfg.Allow), "[10.0.0.0/8 fd00::/8]"},
		"trust":         {cfg.StoreTrust, 10 * time.Minute},
		"poll":          {cfg.PollEvery, 7 * time.Second},
		"budget":        {cfg.TargetBudget, coordinator.Off},
		"retry":         {cfg.Retry.RetryRule, coordinator.RetryRule{Attempts: 4, Base: 2 * time.Second, Cap: 20 * time.Second}},
		"not again":     {cfg.Retry.Methods["grpc.health.v1.Health/Check"], coordinator.RetryRule{Attempts: 1}},
		"pauses":        {cfg.Retry.Methods["meshhealth.v1.HealthService/Check"], coordinator.RetryRule{Base: 500 * time.Millisecond, Cap: time.Second}},
		"hold":          {cfg.Policy.RecoverHold, 3 * time.Second},
		"after":         {cfg.Policy.RecoverAfter, 3},
		"unreachable":   {cfg.Policy.UnreachableAfter, 20 * time.Second},
		"grace":         {cfg.Policy.StartupGrace, 2 * time.Minute},
		"deregister":    {cfg.Policy.DeregisterAfter, time.Duration(-1)},
		"amnesty":       {cfg.Policy.Amnesty, 40 * time.Second},
		"available":     {cfg.Policy.MinAvailable, 75},
		"mesh rule":     {cfg.Policy.MeshRule, health.Worst},
		"mesh min":      {cfg.Policy.MeshMinAvailable, 60},
		"critical":      {cfg.Policy.Services["payments"].Critical, true},
		"protocol":      {cfg.Policy.Services["payments"].Protocol, health.ProtocolCheck},
		"half-life":     {cfg.Policy.FlapHalfLife, 90 * time.Second},
		"flap max":      {cfg.Policy.FlapMax, 5 * time.Minute},
		"guard min":     {cfg.Policy.GuardMin, 20},
		"guard max":     {cfg.Policy.GuardMax, 5 * time.Minute},
		"root":          {cfg.Policy.RootWindow, 20 * time.Second},
		"rule":          {cfg.Policy.Services["payments"].Rule, health.Worst},
		"needs":         {fmt.Sprint(cfg.Policy.Services["payments"].DependsOn), "[db queue]"},
		"likes":         {fmt.Sprint(cfg.Policy.Services["payments"].SoftDependsOn), "[legacy]"},
		"quorum":        {fmt.Sprint(cfg.Policy.Services["legacy"]), fmt.Sprint(health.ServicePolicy{Rule: health.AtLeast(2), MinAvailable: 60, Optional: true})},
		"instances":     {cfg.MaxInstances, 1000},
		"watchers":      {cfg.MaxWatchers, 2000},
		"per peer":      {cfg.MaxWatchersPerPeer, 300},
		"connections":   {cfg.MaxConnsPerPeer, 40},
		"IPv6":          {cfg.IPv6Prefix, 56},
		"series":        {cfg.MetricInstances, -1},
		"roots":         {cfg.XDSCertificates.Roots, "mesh-ca"},
		"identity":      {cfg.XDSCertificates.Identity, "mesh-client"},
		"targets":       {len(cfg.Static), 2},
		"format":        {s.Log.Format, "console"},
		"level":         {s.Log.Level, "debug"},
		"cert":          {s.TLS.Cert, "/etc/meshhealth/tls/cert.pem"},
		"key":           {s.TLS.Key, "/etc/meshhealth/tls/key.pem"},
		"client ca":     {s.TLS.CA, "/pki/ca.pem"},
		"dial":          {s.Dial.Default.files(), TLS{CA: "/pki/ca.pem", ServerName: "mesh", TLS12: true}},
		"plaintext":     {s.Dial.Services["legacy"] == nil && len(s.Dial.Services) == 1, true},
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

// TestNoConfig checks that a file without content means the defaults.
func TestNoConfig(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "services:\n", "policy: {}\ntargets:\n  allow: []\n"} {
		s, err := Parse("meshhealth.yaml", []byte(text), "")
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		cfg, closeFiles, err := s.Open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		closeFiles()
		if cfg.DataDir != DefaultDataDir || cfg.Listen != "" || len(cfg.Static) != 0 {
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
	large := write("large.yaml", strings.Repeat("#\n", input.MaxFile))
	certs := write("certs.yaml", "tls:\n  cert: missing.pem\n  key: missing.key\n  client_ca: certs.yaml\n")
	for name, want := range map[string]string{
		large:                           large + fmt.Sprintf(": is larger than %d bytes", input.MaxFile),
		certs:                           certs + ":2: tls.cert: open " + filepath.Join(dir, "missing.pem") + ": no such file or directory\n" + certs + ":2: tls.key: open " + filepath.Join(dir, "missing.key") + ": no such file or directory\n" + certs + ":2: tls.client_ca: " + fmt.Sprintf("%q", certs) + " has no certificate in it; allowed: certificates in PEM format",
		filepath.Join(dir, "none.yaml"): "open " + filepath.Join(dir, "none.yaml") + ": no such file or directory",
		dir:                             "read " + dir + ": is a directory",
	} {
		if _, err := Load(t.Context(), name); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestDataDir checks that a path that cannot be a folder is refused, in a file and by
// CheckDataDir.
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
			if _, err := Load(t.Context(), config); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		want = fmt.Sprintf("%q", in(name)) + want
		if _, err := Load(t.Context(), config); err == nil || err.Error() != config+":2: data_dir: "+want {
			t.Errorf("%v, want %s", err, want)
		}
		if err := CheckDataDir(in(name)); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// FuzzConfig checks that no file causes a panic, and that every line of an error names the
// file. The error must be the same when the file is read again.
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
			if _, err := Parse("x.yaml", text, "/etc"); err != nil {
				return err.Error()
			}
			return ""
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

// TestDifferences checks that each changed section that needs a restart is named.
func TestDifferences(t *testing.T) {
	text, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Parse("whole.yaml", text, "/etc")
	if err != nil {
		t.Fatal(err)
	}
	moved, err := Parse("whole.yaml", append([]byte("# moved\n"), text...), "/etc")
	if err != nil {
		t.Fatal(err)
	}
	if got := whole.Differences(moved); len(got) != 0 {
		t.Errorf("the same file differs in %v", got)
	}
	want := []string{"listen", "http", "http_tls", "http_hosts", "web_prefix", "web", "data_dir", "insecure_open", "access_policy", "socket", "tls", "dial", "targets", "policy", "store_trust", "poll_every", "target_budget", "retry", "limits", "metrics", "xds", "log"}
	if got := whole.Differences(&Settings{}); !reflect.DeepEqual(got, want) {
		t.Errorf("it differs in %v, want %v", got, want)
	}
}

// TestLargeConfig reads a file of 10,000 services.
func TestLargeConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large.yaml")
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "  - service: service-%d\n    instance: instance-%d\n    address: 127.0.0.1:9000\n    zone: eu-1\n    labels: {team: core, tier: backend}\n", i/10, i)
	}
	if b.Len() < 1<<20 {
		t.Fatalf("%d bytes", b.Len())
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(t.Context(), file)
	if err != nil || len(s.Coordinator.Static) != 10_000 {
		t.Fatal(err)
	}
}
