package main

import (
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

func TestPrintGroups(t *testing.T) {
	groups := []*pb.Group{
		{Counts: &pb.Counts{Serving: 2, Unconfirmed: 1}},
		{Value: "core" + escape, Counts: &pb.Counts{Serving: 10, NotServing: 1, Maintenance: 1}},
		{Value: "data", Counts: &pb.Counts{Degraded: 12, Serving: 1}},
		{Value: "web", Counts: &pb.Counts{Serving: 3, NotServing: 2}},
	}
	var s shell
	if err := s.app().printGroups(&output{}, groups, "label.team"); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/status_groups.txt", s.out.String())
}

// TestStatusGroups counts the instances of a real coordinator.
func TestStatusGroups(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	if stdout, stderr := l.does(0, "status", "--group-by", "zone"); stdout != "" || !strings.Contains(stderr, "No instance is registered") {
		t.Errorf("%q %q", stdout, stderr)
	}
	_, address := stockServer(t)
	for name, team := range map[string]string{"pay/a": "core", "pay/b": "web", "shop/a": "web"} {
		l.does(0, "register", name, "--address", address, "--label", "team="+team)
		l.becomes(name, pb.Status_STATUS_SERVING)
	}
	for _, c := range []struct{ want, args string }{
		{"label.team  SERVING\ncore        1\nweb         2\n", "status --group-by label.team"},
		{"service  SERVING\npay      2\n", "status pay --group-by service"},
		{"zone    SERVING\n(none)  3\n", "status --group-by zone"},
	} {
		if stdout, _ := l.does(0, strings.Fields(c.args)...); stdout != c.want {
			t.Errorf("%s: %q, want %q", c.args, stdout, c.want)
		}
	}
	stdout, _ := l.does(0, "status", "--group-by", "label.team", "-o", "json")
	if lines := strings.Split(stdout, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[1], `{"value":"web","counts":{"serving":2,`) {
		t.Errorf("%q", lines)
	}
	for want, args := range map[string]string{
		"--where: is given beside --group-by; allowed: one of them":             "status --group-by zone --where zone=b",
		"--output: is tsv beside --group-by; allowed there: table, json, jsonl": "status --group-by zone -o tsv",
	} {
		if stdout, stderr := l.does(3, strings.Fields(args)...); stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: %q %q", args, stdout, stderr)
		}
	}
	if _, stderr := l.does(3, "status", "pai", "--group-by", "zone"); !strings.Contains(stderr, "pai is not registered\n  Did you mean pay?") {
		t.Errorf("%q", stderr)
	}
}
