package main

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/config"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
)

// learner is a `policy learn` that runs.
type learner struct {
	t       *testing.T
	stop    context.CancelFunc
	out     bytes.Buffer
	mu      sync.Mutex
	err     strings.Builder
	begun   chan struct{} // closed when it says that it learns
	code    int
	stopped chan struct{}
}

func learns(t *testing.T, at string, args ...string) *learner {
	l := &learner{t: t, begun: make(chan struct{}), stopped: make(chan struct{})}
	var s shell
	a := s.app()
	a.stdout, a.stderr = &l.out, l
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	go func() {
		defer close(l.stopped)
		l.code = a.run(ctx, append([]string{"policy", "learn", "--coordinator", at}, args...))
	}()
	t.Cleanup(func() { stop(); <-l.stopped })
	return l
}

// Write notes what the command says to stderr.
func (l *learner) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := strings.Contains(l.err.String(), "learning at ")
	l.err.Write(b)
	if !before && strings.Contains(l.err.String(), "learning at ") {
		close(l.begun)
	}
	return len(b), nil
}

// begins waits until the command has begun to learn.
func (l *learner) begins() {
	l.t.Helper()
	select {
	case <-l.begun:
	case <-l.stopped:
		l.t.Fatalf("it has ended: %s", l.err.String())
	}
}

// ends waits for the end, and returns the policy that was printed, one line for each rule.
func (l *learner) ends(code int) (rules, text, stderr string) {
	l.t.Helper()
	<-l.stopped
	if l.code != code {
		l.t.Errorf("exit %d, want %d: %s", l.code, code, l.err.String())
	}
	if text = l.out.String(); text == "" {
		return "", "", l.err.String()
	}
	p, err := config.ParseAccessPolicy("learnt", []byte(text))
	if err != nil {
		l.t.Fatalf("%v\n%s", err, text)
	}
	for i := range p.Rules {
		rules += strings.Join(p.Rules[i].Who, ", ") + " may " + strings.Join(p.Rules[i].Summary(), "; ") + "\n"
	}
	return rules, text, l.err.String()
}

// TestPolicyLearn learns from a coordinator without a policy. The command calls over the unix socket, because only
// there it has the right. Its own call is not learnt.
func TestPolicyLearn(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("the kernel does not name the user at the other end of a socket")
	}
	live := newLive(t, coordinator.Config{DataDir: t.TempDir()})
	l := learns(t, live.at, "--for", "1h", "--network", "127.0.0.0/30")
	l.begins()
	live.does(exitOK, "register", "pay/a", "--address", "127.0.0.2:60000")
	live.does(exitOK, "register", "pay/b", "--address", "127.0.0.77:60000")
	l.stop()
	rules, text, stderr := l.ends(exitOK)
	if want := "anyone may register pay (at 127.0.0.0/30, 127.0.0.77/32, with the ports 60000; up to 10 instances)\n"; rules != want {
		t.Errorf("learnt %q, want %q", rules, want)
	}
	for _, want := range []string{
		"# Learnt by `meshhealth policy learn` at " + live.at + ", from 2026-03-04T12:00:00Z to 2026-03-04T12:00:00Z.\n",
		"# No rule has admin.", "  # WARNING: these callers showed no identity", "  # If the system chooses the ports",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if !strings.Contains(stderr, "2 observations; the policy has 1 rule\n") {
		t.Errorf("it said %q", stderr)
	}
}

// TestPolicyLearnEnds checks a coordinator that has a time, one that stops, and one that is not there.
func TestPolicyLearnEnds(t *testing.T) {
	live := newLive(t, coordinator.Config{InsecureOpen: true})
	timed := learns(t, live.at, "--for", "1s")
	if rules, text, _ := timed.ends(exitOK); rules != "" || !strings.Contains(text, "# Nothing was observed.\n") {
		t.Errorf("learnt %q, %s", rules, text)
	}
	c, err := coordinator.New(t.Context(), coordinator.Config{Listen: "127.0.0.1:0", HTTP: coordinator.Off, InsecureOpen: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	stopped := learns(t, c.Addr().String())
	stopped.begins()
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if _, text, stderr := stopped.ends(exitFail); text == "" || !strings.Contains(stderr, "this is what was observed until then") || !strings.Contains(stderr, "cannot do this now") {
		t.Errorf("printed %q, said %q", text, stderr)
	}
	if _, text, stderr := learns(t, c.Addr().String()).ends(exitFail); text != "" || !strings.Contains(stderr, "cannot reach a coordinator") {
		t.Errorf("printed %q, said %q", text, stderr)
	}
}

// strangeCoordinator sends what no coordinator sends.
type strangeCoordinator struct {
	pb.UnimplementedAdminServiceServer
	sends *pb.LearnAccessResponse
}

func (s strangeCoordinator) LearnAccess(_ *pb.LearnAccessRequest, stream grpc.ServerStreamingServer[pb.LearnAccessResponse]) error {
	return stream.Send(s.sends)
}

// TestPolicyLearnStrange checks that nothing from a coordinator gets into the file unchecked.
func TestPolicyLearnStrange(t *testing.T) {
	hosts := &pb.AccessUse{Verb: "register", Service: "pay", Host: "a\nrules: []\x1b[2J", Port: 1}
	for said, m := range map[string]*pb.LearnAccessResponse{
		"":                     {Uses: []*pb.AccessUse{hosts, {Identity: "a\nb", Verb: "read", Service: "x\ny"}}, Dropped: 1 << 40},
		"uses.verb: ":          {Uses: []*pb.AccessUse{{Verb: "frobnicate"}}},
		"callers.token_hashes": {Callers: []*pb.AccessCaller{{Identity: "token:a", TokenHashes: [][]byte{{1}}}}},
		"fits into no policy":  {TrustDomain: "a/b", Uses: []*pb.AccessUse{{Verb: "admin"}}},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := grpc.NewServer()
		pb.RegisterAdminServiceServer(g, strangeCoordinator{sends: m})
		go func() { _ = g.Serve(listener) }()
		t.Cleanup(g.Stop)
		l := learns(t, listener.Addr().String())
		if said != "" {
			if _, _, stderr := l.ends(exitFail); !strings.Contains(stderr, said) {
				t.Errorf("it said %q, want %q", stderr, said)
			}
			continue
		}
		rules, text, _ := l.ends(exitOK)
		if rules != "" || strings.ContainsAny(text, "\x1b") || !strings.Contains(text, "there was no room for ") || strings.Count(text, "rules:") != 2 {
			t.Errorf("learnt %q:\n%s", rules, text)
		}
	}
}

// TestPolicyComments checks that the comments of a policy are bounded.
func TestPolicyComments(t *testing.T) {
	l := lesson{began: noon, end: noon.Add(time.Hour), coordinator: "here"}
	many := make([]string, maxLeftOut+7)
	text := l.comment(&access.Policy{Rules: []access.Rule{{Admin: true}, {Route: &access.Services{}}}}, many)
	if lines := strings.Split(text, "\n"); len(lines) != maxLeftOut+4 || lines[len(lines)-1] != "Left out: 7 more." || strings.Contains(text, "No rule has admin") {
		t.Errorf("%d lines: %s", len(lines), text)
	}
}
