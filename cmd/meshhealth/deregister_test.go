package main

import (
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/coordinator"
)

// TestDeregisterALivingOne checks that a living instance is removed only with --force, and
// that the command says that it will come back.
func TestDeregisterALivingOne(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	_, address := stockServer(t)
	c, err := client.New(client.Config{Coordinator: l.at})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	register := func() {
		if _, err := c.Register(t.Context(), client.Instance{Service: "pay", Instance: "a", Address: address}); err != nil {
			t.Fatal(err)
		}
	}
	register()
	_, stderr := l.does(exitFail, "deregister", "pay/a")
	want := "meshhealth: force: is false; allowed: true, or the lease_id of the process (instance pay/a: its process renews its lease)\n" +
		"  The instance registers again as long as its process runs: stop the process, or give --force.\n"
	if stderr != want {
		t.Errorf("%q, want %q", stderr, want)
	}
	stdout, _ := l.does(exitOK, "deregister", "--force", "pay/a")
	if want := "deregistered pay/a; it will come back: its process, or the configuration, registers it again\n"; stdout != want {
		t.Errorf("%q, want %q", stdout, want)
	}
	register()
	stdout, _ = l.does(exitOK, "deregister", "--force", "pay/a", "-o", "json")
	if strings.TrimSpace(stdout) != `{"service":"pay","instance":"a","returns":true}` {
		t.Errorf("%q", stdout)
	}
}
