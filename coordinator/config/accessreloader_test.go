package config

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/logs/logtest"
)

const (
	goodPolicy = `version: 1
tokens: {ops: ["sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"]}
rules:
  - {name: ops, who: ["token:ops"], admin: true}
`
	morePolicy = goodPolicy + `  - {name: everybody, who: [anyone], read: {services: ["*"]}}
`
	badPolicy = goodPolicy + `  - {name: everybody, who: [nobody], read: {services: ["*"]}}
`
)

// policyRig runs a coordinator with the access policy in a file, in a synctest bubble.
type policyRig struct {
	t        *testing.T
	file     string
	listener *bufconn.Listener // of the coordinator
	reloader *AccessReloader
	logged   logtest.Record
	seen     map[string]int // number of lines of the log that were compared, by level
	times    int            // number of writes
}

func inPolicyRig(t *testing.T, f func(*policyRig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &policyRig{t: t, seen: map[string]int{}, file: filepath.Join(t.TempDir(), "policy.yaml")}
		r.write(goodPolicy)
		policy, err := LoadAccessPolicy(t.Context(), r.file)
		if err != nil {
			t.Fatal(err)
		}
		r.listener = bufconn.Listen(1 << 16)
		c, err := coordinator.New(t.Context(), coordinator.Config{Listener: r.listener, HTTP: coordinator.Off, Access: policy})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran, looked := make(chan error, 1), make(chan struct{})
		go func() { ran <- c.Run(ctx) }()
		r.reloader = NewAccessReloader(r.file, policy, c, r.logged.Logger())
		r.reloader.PollEvery = 10 * time.Second
		go func() { defer close(looked); r.reloader.Run(ctx) }()
		f(r)
		stop()
		<-looked
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if err := r.reloader.Reload(t.Context()); err == nil {
			t.Error("a reload after the end succeeds")
		}
	})
}

// write replaces the file. Its time is in the past of the bubble, and differs for each write.
func (r *policyRig) write(text string) {
	r.t.Helper()
	r.times++
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	at := time.Date(1999, 1, 1, 0, 0, r.times, 0, time.UTC)
	if err := os.Chtimes(r.file, at, at); err != nil {
		r.t.Fatal(err)
	}
}

// after lets time pass, and compares what was logged since the last call.
func (r *policyRig) after(d time.Duration, level string, texts ...string) {
	r.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	var lines []string
	for _, one := range []string{"INFO", "ERROR"} {
		all := r.logged.Lines(one)
		fresh := all[r.seen[one]:]
		r.seen[one] = len(all)
		if one != level && len(fresh) > 0 {
			r.t.Errorf("logged %q, want no %s", fresh, one)
		}
		if one == level {
			lines = fresh
		}
	}
	if level != "" && len(lines) != 1 {
		r.t.Errorf("%d lines of level %s, want 1: %q", len(lines), level, lines)
		return
	}
	for _, text := range texts {
		if !strings.Contains(lines[0], text) {
			r.t.Errorf("the line does not contain %q: %s", text, lines[0])
		}
	}
}

// rules returns the names of the rules in use.
func (r *policyRig) rules(want string) {
	r.t.Helper()
	var names []string
	for i := range r.reloader.Running.Rules {
		names = append(names, r.reloader.Running.Rules[i].Name)
	}
	if got := strings.Join(names, " "); got != want {
		r.t.Errorf("the rules are %q, want %q", got, want)
	}
}

func TestAccessReloader(t *testing.T) {
	inPolicyRig(t, func(r *policyRig) {
		r.after(11*time.Second, "") // the file was read after 10 s and 11 s; the next read is after 21 s

		// A half-written file is not used, if the next read finds something else.
		r.write(badPolicy)
		r.after(10*time.Second, "")
		r.write(goodPolicy)
		r.after(time.Minute, "")
		r.rules("ops")

		r.write(morePolicy)
		r.after(11*time.Second, "INFO", "the access policy was read again", "rules_added=everybody", "streams_ended=0")
		r.rules("ops everybody")

		// A bad file is logged once.
		r.write(badPolicy)
		r.after(11*time.Second, "ERROR", "the access policy was not read again", "policy.yaml:5: rules[1].who[0]", "is no identity")
		r.after(time.Minute, "")
		r.rules("ops everybody")
		r.write("")
		r.after(11*time.Second, "ERROR", "is empty; allowed: an access policy")
		if err := os.Remove(r.file); err != nil {
			t.Fatal(err)
		}
		r.after(11*time.Second, "ERROR", "no such file or directory")
		r.after(time.Minute, "")

		r.write(morePolicy) // the content that is in use
		r.after(11*time.Second, "INFO", "can be used again")
		r.write(goodPolicy)
		r.after(11*time.Second, "INFO", "rules_removed=everybody")
		r.rules("ops")
		r.write("# another comment\n" + goodPolicy)
		r.after(11*time.Second, "")
	})
}

// TestAccessReloaderEndsStreams checks that a changed policy ends the stream of a caller whose rights change.
func TestAccessReloaderEndsStreams(t *testing.T) {
	inPolicyRig(t, func(r *policyRig) {
		conn, err := grpc.NewClient("passthrough:///coordinator", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return r.listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		stream, err := healthpb.NewHealthClient(conn).Watch(r.t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		r.write(strings.Replace(goodPolicy, "admin: true", "route: {services: [x]}", 1))
		r.after(time.Minute, "INFO", "rules_changed=ops", "streams_ended=0")
		r.write(morePolicy)
		r.after(time.Minute, "INFO", "rules_added=everybody", "streams_ended=1")
		if _, err := stream.Recv(); status.Code(err) != codes.PermissionDenied {
			t.Errorf("the stream ended with %v", err)
		}
	})
}

// TestAccessReload checks that Reload uses a file at once, returns its fault each time, and logs it.
func TestAccessReload(t *testing.T) {
	inPolicyRig(t, func(r *policyRig) {
		reload := func(want string) {
			t.Helper()
			switch err := r.reloader.Reload(r.t.Context()); {
			case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("%v, want %q", err, want)
			}
		}
		reload("")
		r.after(0, "")
		r.write(morePolicy)
		reload("")
		r.rules("ops everybody")
		r.after(0, "INFO", "rules_added=everybody")
		for range 2 {
			r.write(badPolicy)
			reload("is no identity")
			r.after(time.Minute, "ERROR", "is no identity")
		}
		if err := os.Remove(r.file); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(r.file, 0o700); err != nil {
			t.Fatal(err)
		}
		reload("is no regular file")
		r.rules("ops everybody")
	})
}

func TestAccessDifference(t *testing.T) {
	parse := func(text string) *coordinator.AccessPolicy {
		p, err := ParseAccessPolicy("policy.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	was := parse(morePolicy)
	const hash = "9b74c9897bac770ffc029102a200c5de1f1bd2c1f3c1d1d2b0f2f8b2d1c1e0a1"
	is := parse(`version: 1
trust_domain: example.org
allow_dns_names: true
tokens: {ops: ["sha256:` + hash + `"], dev: ["sha256:0b74c9897bac770ffc029102a200c5de1f1bd2c1f3c1d1d2b0f2f8b2d1c1e0a1"]}
rules:
  - {name: dev, who: ["token:dev"], route: {services: ["*"]}}
  - {name: ops, who: ["token:ops"], override: {services: ["*"]}}
`)
	var logged logtest.Record
	d := differenceOf(was, is)
	logged.Logger().Info("differs", d.attrs()...)
	d = differenceOf(is, was)
	logged.Logger().Warn("differs", d.attrs()...)
	synctest.Test(t, func(t *testing.T) {
		logged.Want(t, "INFO", "rules_added=dev rules_removed=everybody rules_changed=ops tokens_added=dev tokens_changed=ops", `keys_changed="trust_domain, allow_dns_names"`)
		logged.Want(t, "WARN", "rules_added=everybody rules_removed=dev rules_changed=ops tokens_removed=dev tokens_changed=ops")
		for _, level := range []string{"INFO", "WARN"} {
			if line := logged.Lines(level)[0]; strings.Contains(line, "9b74") || strings.Contains(line, "155") {
				t.Errorf("the log has a hash of a token: %s", line)
			}
		}
	})
	if d := differenceOf(was, was); !d.empty() {
		t.Errorf("a policy differs from itself: %+v", d)
	}
}

// TestDocumentedPolicy checks that the policy in docs/security.md has no fault and no warning, and that each key of the
// format is in the page.
func TestDocumentedPolicy(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "```yaml\n")
	text, _, closed := strings.Cut(text, "```")
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil || !found || !closed {
		t.Fatal("the page has no policy", err)
	}
	if _, warnings, err := CheckAccessPolicy(t.Context(), file); err != nil || len(warnings) > 0 {
		t.Error(err, warnings)
	}
	for _, section := range []string{"", "rules: [{NEW}]", "rules: [{register: {NEW}}]", "rules: [{read: {NEW}}]", "rules: [{override: {NEW}}]"} {
		text := strings.Replace(section, "NEW", "unknown: 1", 1)
		if section == "" {
			text = "unknown: 1"
		}
		_, err := ParseAccessPolicy("policy.yaml", []byte(text))
		_, keys, found := strings.Cut(err.Error(), "unknown key; allowed: ")
		keys, _, _ = strings.Cut(keys, "\n")
		if !found {
			t.Fatalf("%s: %v", text, err)
		}
		for key := range strings.SplitSeq(keys, ", ") {
			if !strings.Contains(string(page), key+"`") && !strings.Contains(string(page), "`"+key) {
				t.Errorf("docs/security.md does not describe %s of %q", key, section)
			}
		}
	}
}
