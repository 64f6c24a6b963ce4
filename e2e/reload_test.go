//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// TestHangup sends SIGHUP to a coordinator, which must read its configuration file again. If the
// file is invalid, the coordinator must log why and keep the previous configuration.
func TestHangup(t *testing.T) {
	dir, s := t.TempDir(), startStock(t)
	file := func(policy string) {
		t.Helper()
		write(t, dir+"/m.yaml", fmt.Sprintf("services: [{service: pay, instance: a, address: %q}]\npolicy: {services: %s}\n", s.address, policy))
	}
	file("{}")
	p, at, _ := coordinator(t, "--memory", "--config", dir+"/m.yaml")
	w := watch(t, at)
	w.until(pb.Status_STATUS_SERVING, "pay")

	file("{pay: {rule: at-least-2}}")
	p.signal(syscall.SIGHUP)
	p.line(`"the configuration was read again".*"targets":1`)
	w.until(pb.Status_STATUS_STARTING, "pay")

	file("{pay: {depends_on: [db]}, db: {depends_on: [pay]}}")
	p.signal(syscall.SIGHUP)
	p.line("was not read again.*goes round in a circle: db -> pay -> db")
	if out, _, code := call(t, meshhealth, "status", "pay", "--coordinator", at); code != 1 || !strings.Contains(out, "at-least-2") {
		t.Errorf("exit %d: %s", code, out)
	}
	p.stop(syscall.SIGTERM)
}
