package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// TestReload checks that a reload applies rules, targets and dependencies of the file, and
// that a file with a fault changes nothing.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meshhealth.yaml")
	_, address := stockServer(t)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "ADDRESS", address)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("services: [{service: pay, instance: a, address: ADDRESS}]\n")
	running, err := config.Load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	l := newLive(t, coordinator.Config{Static: running.Coordinator.Static, Policy: running.Coordinator.Policy})
	l.becomes("pay", pb.Status_STATUS_SERVING)

	var logged bytes.Buffer
	h := &hangups{
		reloader: &config.Reloader{File: file, Running: running, Coordinator: l.c},
		log:      slog.New(slog.NewTextHandler(&logged, nil)),
	}
	again := func(want string) {
		t.Helper()
		logged.Reset()
		h.reload(t.Context())
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%s: want %s", logged.String(), want)
		}
	}
	write("listen: 127.0.0.1:1\nservices: [{service: pay, instance: b, address: ADDRESS}]\npolicy: {services: {pay: {rule: at-least-2}}}\n")
	again(`msg="changes in these sections need a restart" sections=listen`)
	l.becomes("pay", pb.Status_STATUS_STARTING)
	l.becomes("pay/b", pb.Status_STATUS_SERVING)
	l.does(3, "status", "pay/a")

	for text, want := range map[string]string{
		"policy: {services: {pay: {rule: best}}}\n":                                                `is none of these`,
		"policy: {services: {pay: {depends_on: [db]}, db: {depends_on: [pay]}}}\n":                 "goes round in a circle: db -> pay -> db",
		"services: [{service: pay, instance: b, address: ADDRESS, zone: \"a b\"}]\n":               "allowed: 1 to 63 of",
		"services: [{service: pay, instance: b, address: ADDRESS}]\npolicy: {guard_min: enough}\n": "not a whole number",
	} {
		write(text)
		again("the configuration was not read again; the previous one stays in use")
		again(want)
	}
	l.does(1, "status", "pay/b", "pay") // SERVING, STARTING

	write("services: [{service: pay, instance: b, address: ADDRESS}]\n")
	again("the configuration was read again")
	l.becomes("pay", pb.Status_STATUS_SERVING)

	// A file without services is refused, unless it says services: [].
	for text, want := range map[string]string{
		"":                     "is empty; allowed: a configuration, or services: [] for none",
		"# all of it\n---\n":   "is empty",
		"services:\n":          "services: is missing or empty, which would remove 1 target",
		"policy: {}\n":         "services: is missing or empty, which would remove 1 target",
		"listen: 127.0.0.1:1":  "allowed: a list, or services: [] to remove all",
		"services: [\n":        "not YAML",
		"services: ~\n":        "is missing or empty",
		"services: {}\n":       "allowed: a list",
		"services: nothing\n":  "allowed: a list",
		"services: [{}]\n":     "has no service, no instance, no address",
		"{}":                   "is missing or empty",
		"null":                 "is empty",
		"services: &none []\n": "anchors",
	} {
		write(text)
		again("the configuration was not read again; the previous one stays in use")
		again(want)
	}
	l.does(0, "status", "pay/b")
	write("services: []\n")
	again("the configuration was read again")
	l.does(3, "status", "pay/b")
	write("policy: {}\n")
	again("the configuration was read again") // no target would be removed
}

// TestReloadWithoutAFile checks that SIGHUP without a file only logs a warning.
func TestReloadWithoutAFile(t *testing.T) {
	var logged bytes.Buffer
	(&hangups{log: slog.New(slog.NewTextHandler(&logged, nil))}).reload(t.Context())
	if !strings.Contains(logged.String(), "there is no configuration file to read again") {
		t.Error(logged.String())
	}
}

// TestReloadOfCertificates checks that SIGHUP reads certificate files at once, each source once, with
// and without a configuration file, and that a fault is logged.
func TestReloadOfCertificates(t *testing.T) {
	dir, ca := t.TempDir(), nettest.NewAuthority(t)
	files := certs.Files{Roots: ca.Roots(dir)}
	files.Cert, files.Key = ca.Issue(dir, "mesh", 100*24*time.Hour)
	source, err := certs.Open(files, certs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	var logged bytes.Buffer
	h := &hangups{
		certificates: []coordinator.Certificate{{Section: "tls", Source: source}, {Section: "dial.default", Source: source}},
		log:          slog.New(slog.NewTextHandler(&logged, nil)),
	}
	before := source.Status().Expires
	ca.Issue(dir, "mesh", 90*24*time.Hour)
	h.reload(t.Context())
	if text := logged.String(); source.Status().Expires == before || strings.Count(text, "\n") != 1 || !strings.Contains(text, "the certificates were read again") {
		t.Errorf("expires %v, before %v: %s", source.Status().Expires, before, text)
	}
	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	logged.Reset()
	h.reload(t.Context())
	if text := logged.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "the previous ones stay in use") {
		t.Error(text)
	}
}

// TestReloadOfTheAccessPolicy checks that SIGHUP reads the access policy at once, without a configuration file. A bad
// policy changes nothing and makes the coordinator DEGRADED.
func TestReloadOfTheAccessPolicy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(rules string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("version: 1\nrules:\n"+rules), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const reading = "  - {name: readers, who: [anyone], read: {services: [\"*\"], detail: reason}}\n"
	write(reading)
	policy, err := config.LoadAccessPolicy(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	_, address := stockServer(t)
	l := newLive(t, coordinator.Config{Access: policy, Static: []coordinator.Target{{Service: "pay", Instance: "a", Address: address}}})
	l.becomes("pay", pb.Status_STATUS_SERVING)
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	h := &hangups{access: config.NewAccessReloader(file, policy, l.c, log), log: log}
	signals := make(chan os.Signal)
	defer h.handle(t.Context(), signals)()
	again := func(texts ...string) {
		t.Helper()
		logged.Reset()
		h.reload(t.Context())
		for _, text := range texts {
			if !strings.Contains(logged.String(), text) {
				t.Errorf("%s: want %s", logged.String(), text)
			}
		}
	}
	again("SIGHUP: the access policy in the file is in use")
	write(reading + "  - {name: more, who: [anyone], register: {services: [\"*\"]}}\n")
	again("rules_added=more", "streams_ended=", "SIGHUP: the access policy in the file is in use")
	write("  - {name: more}\n")
	again("level=ERROR", "policy.yaml:3: rules[0]", "the previous one stays in use")
	if strings.Contains(logged.String(), "is in use\"") {
		t.Errorf("a bad file is reported as used: %s", logged.String())
	}
	if out, _ := l.does(0, "status"); !strings.Contains(out, "access_policy: the file cannot be used") {
		t.Errorf("the coordinator is not DEGRADED because of the file: %s", out)
	}
	write(reading)
	again("can be used again", "rules_removed=more")
}
