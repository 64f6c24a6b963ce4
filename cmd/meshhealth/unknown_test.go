package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// TestNearestNames checks that every command suggests names similar to an unknown one.
func TestNearestNames(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	for _, name := range []string{"payments/a", "payments/b", "payment-db/a", "ledger/a", "ab/c"} {
		l.does(0, "register", name, "--address", "127.0.0.1:1", "--zone", "eu-1")
	}
	l.becomes("ledger/a", pb.Status_STATUS_STARTING)
	for _, c := range []struct{ command, want string }{
		{"status paymenst", "Did you mean payments?"},
		{"status paymnts/a", "Did you mean payments/a or payments/b?"},
		{"status payments/c", "Did you mean payments/a or payments/b?"},
		{"status payments/@eu-2", "Did you mean payments/@eu-1?"},
		{"status */eu-2", "Did you mean */eu-1?"},
		{"explain a", "Did you mean ab?"},
		{"explain z", "`meshhealth status` lists the registered names."},
		{"maintenance on service=a --reason x --for 1h", "Did you mean service=ab?"},
		{"status something-else", "`meshhealth status` lists the registered names."},
		{"explain payments/c", "Did you mean payments/a or payments/b?"},
		{"explain legder", "Did you mean ledger?"},
		{"history legder", "Did you mean ledger?"},
		{"history legder -o json", "Did you mean ledger?"},
		{"deregister legder/a", "Did you mean ledger/a?"},
		{"maintenance on legder --reason x --for 1h", "Did you mean ledger?"},
		{"maintenance on service=legder --reason x --for 1h", "Did you mean service=ledger?"},
		{"maintenance on zone=eu1 --reason x --for 1h", "Did you mean zone=eu-1?"},
		{"maintenance on label.team=x --reason x --for 1h", "label.team=x matches no registered instance"},
		{"maintenance off legder", "Did you mean ledger?"},
		{"override set legder/b DEGRADED --reason x --for 1h", "Did you mean ledger/a?"},
		{"override clear payments/c", "Did you mean payments/a or payments/b?"},
	} {
		_, stderr := l.does(3, strings.Fields(c.command)...)
		if !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %s, want %s", c.command, stderr, c.want)
		}
	}
	for command, want := range map[string]string{
		"watch legder":     "legder is not registered yet\n  Did you mean ledger?",
		"watch payments/c": "payments/c is not registered yet\n  Did you mean payments/a or payments/b?",
	} {
		ctx, stop := context.WithCancel(t.Context())
		var said strings.Builder
		a := (&shell{env: l.env}).app()
		a.stderr = writer(func(text string) {
			if said.WriteString(text); strings.Contains(text, "changes follow") {
				stop()
			}
		})
		if code := a.run(ctx, strings.Fields(command)); code != 0 || !strings.Contains(said.String(), want) {
			t.Errorf("%s: %d, %s, want %s", command, code, said.String(), want)
		}
		stop()
	}
	if stdout, stderr := l.does(0, "history", "ledger"); stdout == "" && !strings.Contains(stderr, "Nothing has changed yet.") {
		t.Error(stderr)
	}
}

// writer is a function that is called with what is written.
type writer func(text string)

func (f writer) Write(p []byte) (int, error) { f(string(p)); return len(p), nil }

// pages serves two pages of List. It waits with the second until the first was printed.
type pages struct {
	pb.UnimplementedHealthServiceServer
	printed chan struct{}
}

func (p pages) List(ctx context.Context, req *pb.ListRequest) (*pb.ListResponse, error) {
	if req.GetPageToken() == "" {
		return &pb.ListResponse{NextPageToken: "next", Entries: []*pb.Health{
			{Status: pb.Status_STATUS_SERVING}, {Service: "*", Status: pb.Status_STATUS_DEGRADED}, {Service: "a", Status: pb.Status_STATUS_SERVING},
		}}, nil
	}
	select {
	case <-p.printed:
		return &pb.ListResponse{Entries: []*pb.Health{{Service: "b", Status: pb.Status_STATUS_DEGRADED}}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestStatusJSONStreams checks that a page is printed before the next one is requested.
func TestStatusJSONStreams(t *testing.T) {
	printed := make(chan struct{})
	at := probed(t, func(g *grpc.Server) { pb.RegisterHealthServiceServer(g, pages{printed: printed}) })
	var out strings.Builder
	var once sync.Once
	s := shell{}
	a := s.app()
	a.stdout = writer(func(text string) {
		out.WriteString(text)
		once.Do(func() { close(printed) })
	})
	code := a.run(t.Context(), []string{"status", "-o", "json", "--coordinator", at})
	if lines := strings.Count(out.String(), "\n"); code != 1 || lines != 3 {
		t.Errorf("code %d, %d lines: %s%s", code, lines, out.String(), s.err.String())
	}
}

// TestCommasInLabels checks scopes with commas in the value of a label.
func TestCommasInLabels(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	_, address := stockServer(t)
	l.does(0, "register", "pay/a", "--address", address, "--label", "teams=core,web")
	l.does(0, "register", "pay/b", "--address", address, "--label", "teams=core")
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	l.becomes("pay/b", pb.Status_STATUS_SERVING)
	if _, stderr := l.does(3, "maintenance", "on", "label.teams=core,web", "--reason", "x", "--for", "1h"); !strings.Contains(stderr, `label.KEY="V,W" for a value with commas`) {
		t.Error(stderr)
	}
	const scope = `label.teams="core,web"`
	if stdout, _ := l.does(0, "maintenance", "on", scope, "--reason", "x", "--for", "1h"); stdout != scope+" is forced to MAINTENANCE for 1h\n" {
		t.Error(stdout)
	}
	l.becomes("pay/a", pb.Status_STATUS_MAINTENANCE)
	l.does(0, "status", "pay/b")
	if stdout, _ := l.does(0, "maintenance", "list"); !strings.Contains(stdout, scope+"  1 instance") {
		t.Error(stdout)
	}
	l.does(0, "maintenance", "off", scope)
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
}

// TestStatusWait waits for a status that comes, for a name that is not registered yet, and
// for a status that does not come.
func TestStatusWait(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	_, address := stockServer(t)
	done := make(chan int, 1)
	w := shell{env: l.env}
	go func() {
		_, _, code := w.run(t.Context(), "status", "pay", "pay/a", "--wait", "SERVING", "--timeout", "1m", "-o", "json")
		done <- code
	}()
	l.does(0, "register", "pay/a", "--address", address)
	if code := <-done; code != 0 || strings.Count(w.out.String(), `"status":"STATUS_SERVING"`) != 2 {
		t.Errorf("code %d, %s%s", code, w.out.String(), w.err.String())
	}
	if stdout, _ := l.does(0, "status", "--wait", "degraded, serving"); !strings.Contains(stdout, "SERVING") {
		t.Error(stdout)
	}
	began := time.Now()
	for _, c := range []struct {
		code       int
		line, want string
	}{
		{3, "pay --wait MAINTENANCE --timeout 2s", "pay is SERVING after 2s; waited for MAINTENANCE\n  `meshhealth explain pay` says why."},
		{3, "pay/b --wait SERVING,DEGRADED --timeout 2s", "pay/b is not registered after 2s; waited for SERVING or DEGRADED"},
		{3, "pay --wait SERVING --timeout 2s --coordinator 127.0.0.1:1", "cannot reach a coordinator at 127.0.0.1:1"},
		{3, "pay --wait well", `--wait: is "well"; allowed: `},
		{3, "pay --wait=", `--wait: is ""; allowed: `},
		{0, "pay/a --wait SERVING --timeout 1m", ""},
	} {
		if _, stderr := l.does(c.code, append([]string{"status"}, strings.Fields(c.line)...)...); !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %s, want %s", c.line, stderr, c.want)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it waited for %v", took)
	}
	l.does(0, "maintenance", "on", "pay", "--reason", "disks", "--for", "1h")
	l.does(0, "status", "pay/a", "--wait", "MAINTENANCE")
}
