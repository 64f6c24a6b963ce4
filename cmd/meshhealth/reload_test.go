package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// TestReload: rules, targets and dependencies are those of the file as it is
// now, unless something is wrong with it.
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
	running, err := readConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	l := newLive(t, coordinator.Config{Static: running.targets, Policy: running.policy})
	l.becomes("pay", pb.Status_STATUS_SERVING)

	var logged bytes.Buffer
	r := &rereading{
		read: func() (*settings, error) { return readConfig(file) }, running: running, c: l.c,
		log: slog.New(slog.NewTextHandler(&logged, nil)),
	}
	again := func(want string) {
		t.Helper()
		logged.Reset()
		r.again(t.Context())
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%s: want %s", logged.String(), want)
		}
	}
	write("listen: 127.0.0.1:1\nservices: [{service: pay, instance: b, address: ADDRESS}]\npolicy: {services: {pay: {rule: at-least-2}}}\n")
	again(`msg="these need a restart" sections=listen`)
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
		again("the configuration was not read again; what was read before holds")
		again(want)
	}
	l.does(1, "status", "pay/b", "pay") // SERVING, STARTING

	write("services: [{service: pay, instance: b, address: ADDRESS}]\n")
	again("the configuration was read again")
	l.becomes("pay", pb.Status_STATUS_SERVING)
}

// TestDifferences: every section of a file that needs a restart is named.
func TestDifferences(t *testing.T) {
	text, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	whole := parseConfig(&problems{}, text, "/etc")
	moved := parseConfig(&problems{}, append([]byte("# moved\n"), text...), "/etc")
	if got := whole.differences(moved); len(got) != 0 {
		t.Errorf("the same file differs in %v", got)
	}
	want := []string{"listen", "http", "data_dir", "insecure", "tls", "dial", "targets", "policy", "store_trust", "poll_every", "retry", "limits", "metrics", "log"}
	if got := whole.differences(&settings{}); !reflect.DeepEqual(got, want) {
		t.Errorf("it differs in %v, want %v", got, want)
	}
}
