package main

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/nettest"
	"github.com/meshhealth/meshhealth/server"
)

// soundFacts returns facts of which every step is well.
func soundFacts() *facts {
	return &facts{
		address: "health.example:7070", now: noon, connectTook: 421 * time.Microsecond,
		certificate: &x509.Certificate{NotAfter: noon.Add(90 * 24 * time.Hour)},
		clock:       12 * time.Millisecond, clockBound: 3 * time.Millisecond,
		state: &pb.GetCoordinatorResponse{
			Build: "v1.2.3", Status: pb.Status_STATUS_SERVING, Uptime: durationpb.New(26 * time.Hour), PollCoverage: 1,
			Followers: map[string]uint32{"meshhealth-watch": 40, "grpc-watch": 1}, XdsStreams: 2,
		},
		locate: codes.NotFound, services: 2,
		instances: []*pb.Health{in("pay/a", "eu-1", "1", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK)},
		explained: map[string]*pb.ExplainResponse{"pay/a": {Following: &pb.Following{Protocol: "meshhealth-watch"}}},
	}
}

// TestDoctorWithoutState: a state that was not received is no missing right, and not well.
func TestDoctorWithoutState(t *testing.T) {
	f := soundFacts()
	f.state, f.stateCode, f.locate, f.explained = nil, codes.DeadlineExceeded, codes.DeadlineExceeded, nil
	found := diagnose(f)
	var text strings.Builder
	for _, d := range found {
		fmt.Fprintf(&text, "%d %s: %s\n", d.level, d.step, d.text)
	}
	for _, wrong := range []string{"may read everything", "may not read"} {
		if strings.Contains(text.String(), wrong) {
			t.Errorf("it says %q:\n%s", wrong, text.String())
		}
	}
	if !strings.Contains(text.String(), "2 coordinator: health.example:7070 is a coordinator, but did not tell its state: DeadlineExceeded\n") {
		t.Errorf("got\n%s", text.String())
	}
}

// illFacts returns facts with many findings.
func illFacts() *facts {
	f := soundFacts()
	f.certificate.NotAfter = noon.Add(3*24*time.Hour + time.Hour)
	f.clock = -3200 * time.Millisecond
	f.locate = codes.PermissionDenied
	f.state = &pb.GetCoordinatorResponse{
		Build: "v1.2.3", Status: pb.Status_STATUS_DEGRADED, Uptime: durationpb.New(20 * time.Second), Score: 3, PollCoverage: 0.72,
		Guards: []*pb.Guard{
			{Known: 10, Doubted: 6, Since: timestamppb.New(noon.Add(-time.Minute))},
			{Zone: "eu-1", Known: 4, Doubted: 4, Since: timestamppb.New(noon.Add(-time.Hour)), Faded: true},
		},
		StoreError: "no space left on device", StoreCommitAge: durationpb.New(12 * time.Second), StoreLost: 8,
		AmnestyUntil: timestamppb.New(noon.Add(10 * time.Second)), Unconfirmed: 7, OpenTargets: []string{"10.0.0.1:1", "10.0.0.2:1"},
		FloodingInstances: []string{"pay/a"}, UnknownServices: []string{"db", "shop", "mail", "news"},
		XdsRejected: 3, XdsRejections: []*pb.XDSRejection{{Node: "edge-1", Reason: "bad " + escape}},
	}
	f.instances = nil
	for i, cause := range []pb.Cause{
		pb.Cause_CAUSE_REFUSED, pb.Cause_CAUSE_UNREACHABLE, pb.Cause_CAUSE_TLS, pb.Cause_CAUSE_UNAUTHENTICATED, pb.Cause_CAUSE_UNIMPLEMENTED,
		pb.Cause_CAUSE_UNKNOWN_NAME, pb.Cause_CAUSE_LEASE_EXPIRED, pb.Cause_CAUSE_QUOTA, pb.Cause_CAUSE_MALFORMED, pb.Cause_CAUSE_FAILED,
	} {
		f.instances = append(f.instances, in(fmt.Sprintf("pay/%d", i), "eu-1", "1", pb.Status_STATUS_NOT_SERVING, cause))
	}
	for i := range 5 {
		f.instances = append(f.instances, in(fmt.Sprintf("legacy/%d", i), "eu-1", "1", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK))
		f.explained[fmt.Sprintf("legacy/%d", i)] = &pb.ExplainResponse{Following: &pb.Following{Protocol: "grpc-poll", Via: "its Watch ended without a message"}}
	}
	doubt := in("mail/a", "eu-1", "1", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_UNCONFIRMED)
	doubt.Unconfirmed = true
	forced := in("mail/b", "eu-1", "1", pb.Status_STATUS_DEGRADED, pb.Cause_CAUSE_FORCED)
	forced.Override = &pb.Override{Author: "ann"}
	f.instances = append(f.instances, doubt, forced)
	for name, following := range map[string]*pb.Following{
		"odd/a": {Unheard: true}, "odd/b": {Stranger: true}, "odd/c": {Unproved: true}, "odd/d": {Pushed: true, Protocol: "report"},
	} {
		f.instances = append(f.instances, in(name, "", "", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK))
		f.explained[name] = &pb.ExplainResponse{Following: following}
	}
	slices.SortStableFunc(f.instances, worseFirst)
	return f
}

// TestDoctorOutput checks what is printed of a sound set-up and of an ill one.
func TestDoctorOutput(t *testing.T) {
	for name, c := range map[string]struct {
		shell
		out   output
		plain bool
	}{
		"60":       {shell: shell{columns: 60}, out: output{format: "table", colour: "never"}},
		"80":       {shell: shell{columns: 80}, out: output{format: "table", colour: "never"}},
		"100":      {shell: shell{columns: 100}, out: output{format: "table", colour: "never"}},
		"200":      {shell: shell{columns: 200}, out: output{format: "table", colour: "never"}},
		"colour":   {shell: shell{columns: 100}, out: output{format: "table", colour: "auto"}},
		"no_color": {shell: shell{columns: 100, env: map[string]string{"NO_COLOR": "1"}}, out: output{format: "table", colour: "auto"}},
		"pipe":     {out: output{format: "table", colour: "auto"}},
		"plain":    {shell: shell{columns: 80}, out: output{format: "table", colour: "auto"}, plain: true},
		"ascii":    {shell: shell{columns: 80, env: map[string]string{"LANG": "C"}}, out: output{format: "table", colour: "never"}},
		"short":    {out: output{format: formatShort}},
		"json":     {out: output{format: "json"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.app()
			a.plain = c.plain
			for _, f := range []*facts{soundFacts(), illFacts()} {
				if err := a.printFindings(&c.out, f, diagnose(f)); err != nil {
					t.Fatal(err)
				}
				c.shell.out.WriteString("\n")
			}
			text := c.shell.out.String()
			golden(t, "testdata/doctor_"+name+".golden", text)
			for line := range strings.Lines(text) {
				if n := columnsOfPainted(strings.TrimSuffix(line, "\n")); c.columns > 0 && !c.plain && n > c.columns && strings.Contains(strings.TrimSpace(line), " ") {
					t.Errorf("a line has %d columns: %q", n, line)
				}
			}
			if c.out.format == "json" {
				for line := range strings.Lines(text) {
					if line = strings.TrimSpace(line); line != "" && !json.Valid([]byte(line)) {
						t.Errorf("no JSON: %s", line)
					}
				}
			}
		})
	}
}

// TestDoctorSteps checks the steps after which the doctor cannot continue, and the exit codes.
func TestDoctorSteps(t *testing.T) {
	const sound = 13 // number of steps
	for name, c := range map[string]struct {
		change func(*facts)
		topic  string // of the worst finding; empty if all is well
		level  level
		steps  int
	}{
		"sound":      {func(*facts) {}, "", levelOK, sound},
		"no address": {func(f *facts) { f.connectErr = errors.New("connection refused") }, "address", levelFailed, 1},
		"no TLS": {func(f *facts) {
			f.callErr, f.callCode = hinted("Check --tls-ca.", "bad certificate"), codes.Unavailable
		}, "tls", levelFailed, 2},
		"silent":          {func(f *facts) { f.callErr, f.callCode = errors.New("no answer"), codes.DeadlineExceeded }, "tls", levelFailed, 2},
		"stock server":    {func(f *facts) { f.callErr, f.callCode = errors.New("unknown service"), codes.Unimplemented }, "no-coordinator", levelFailed, 3},
		"embedded server": {func(f *facts) { f.state, f.stateCode = nil, codes.Unimplemented }, "no-coordinator", levelFailed, 3},
		"an error":        {func(f *facts) { f.callErr, f.callCode = errors.New("x"), codes.Internal }, "no-answer", levelFailed, 3},
		"a stranger":      {func(f *facts) { f.state, f.stateCode = nil, codes.PermissionDenied }, "access", levelWarning, sound},
		"far plaintext":   {func(f *facts) { f.plaintext, f.certificate = true, nil }, "plaintext", levelWarning, sound},
		"near plaintext":  {func(f *facts) { f.plaintext, f.loopback, f.certificate = true, true, nil }, "", levelOK, sound},
		"soon expired":    {func(f *facts) { f.certificate.NotAfter = noon.Add(soonExpired) }, "certificate", levelWarning, sound},
		"ours soon":       {func(f *facts) { f.ownExpires = noon.Add(soonExpired) }, "certificate", levelWarning, sound},
		"ours not soon":   {func(f *facts) { f.ownExpires = noon.Add(soonExpired + 1) }, "", levelOK, sound},
		"not soon":        {func(f *facts) { f.certificate.NotAfter = noon.Add(soonExpired + 1) }, "", levelOK, sound},
		"clock ahead":     {func(f *facts) { f.clock = clocksApart + f.clockBound + 1 }, "clock", levelWarning, sound},
		"clock in bound":  {func(f *facts) { f.clock = clocksApart + f.clockBound }, "", levelOK, sound},
		"no clock":        {func(f *facts) { f.clockBound = 0 }, "", levelOK, sound},
		"nothing":         {func(f *facts) { f.instances = nil }, "nothing-registered", levelWarning, sound - 1},
		"nobody":          {func(f *facts) { f.instances, f.name = nil, "pay/z" }, "not-registered", levelFailed, sound - 1},
		"no list":         {func(f *facts) { f.instances, f.listErr = nil, errors.New("x") }, "no-answer", levelFailed, sound - 1},
		"faded guard":     {func(f *facts) { f.state.Guards = []*pb.Guard{{Faded: true}} }, "guard", levelFailed, sound},
		"old amnesty":     {func(f *facts) { f.state.AmnestyUntil, f.state.Unconfirmed = timestamppb.New(noon), 1 }, "", levelOK, sound},
		"first start":     {func(f *facts) { f.state.AmnestyUntil = timestamppb.New(noon.Add(time.Second)) }, "", levelOK, sound},
		"amnesty": {func(f *facts) {
			f.state.AmnestyUntil, f.state.Unconfirmed = timestamppb.New(noon.Add(time.Second)), 1
		}, "amnesty", levelWarning, sound},
	} {
		f := soundFacts()
		c.change(f)
		found := diagnose(f)
		topic := ""
		for _, d := range found {
			if d.level == worstLevel(found) {
				topic = d.topic
			}
			if (d.topic == "") != (d.action == "") || d.level > levelOK && d.topic == "" {
				t.Errorf("%s: %+v has no action", name, d)
			}
		}
		if worstLevel(found) != c.level || topic != c.topic || len(found) != c.steps {
			t.Errorf("%s: level %d, topic %q, %d steps: %+v", name, worstLevel(found), topic, len(found), found)
		}
	}
}

// TestDoctorTopics checks that each topic in the code has a section in the manual, and each section
// a topic.
func TestDoctorTopics(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", doctorPage))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		slug := strings.ReplaceAll(strings.ToLower(match[1]), " ", "-")
		if slug = strings.ReplaceAll(slug, ":", ""); strings.HasPrefix(slug, "doctor-") {
			sections[slug] = true
		}
	}
	topics := topicsInCode(t)
	for topic := range topics {
		d := diagnosis{topic: topic}
		_, anchor, _ := strings.Cut(d.anchor(), "#")
		if !sections[anchor] {
			t.Errorf("%s has no section %s", doctorPage, anchor)
		}
		delete(sections, anchor)
	}
	for section := range sections {
		t.Errorf("%s: no finding has the section %s", doctorPage, section)
	}
	if len(topics) < 30 {
		t.Errorf("only %d topics were found in the code", len(topics))
	}
}

// topicsInCode returns the topics of all findings: arguments of warn and fail, and fields.
func topicsInCode(t *testing.T) map[string]bool {
	t.Helper()
	topics := map[string]bool{}
	for _, a := range causeAilments {
		topics[a.topic] = true
	}
	for _, a := range []ailment{unheard, stranger, unproved, unproven, pushes, followed, silent, reportsBad} {
		topics[a.topic] = true
	}
	for _, file := range []string{"doctorsteps.go", "doctorown.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			var at ast.Expr
			switch n := n.(type) {
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "warn" || sel.Sel.Name == "fail") && len(n.Args) > 1 {
					at = n.Args[1]
				}
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "diagnosis" && len(n.Elts) > 2 {
					at = n.Elts[2]
				}
			}
			if lit, ok := at.(*ast.BasicLit); ok {
				topic, _ := strconv.Unquote(lit.Value)
				topics[topic] = true
			}
			return true
		})
	}
	return topics
}

// TestAilments checks which fault the doctor finds in how an instance is followed.
func TestAilments(t *testing.T) {
	without := in("pay/a", "", "", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK)
	without.Route = pb.Route_ROUTE_UNPROVEN
	if got, _ := ailmentOf(without, &pb.ExplainResponse{Following: &pb.Following{Protocol: "grpc-watch"}}); got != &unproven {
		t.Errorf("an instance without a proof of its endpoint has the fault %+v", got)
	}
	for want, f := range map[*ailment]*pb.Following{
		&unheard:  {Unheard: true, Stranger: true},
		&stranger: {Stranger: true, Protocol: "meshhealth-watch"},
		&unproved: {Unproved: true, Protocol: "meshhealth-watch"},
		&pushes:   {Pushed: true, Protocol: "report"},
		&followed: {Protocol: "grpc-poll", Via: "its Watch ended without a message"},
		nil:       {Protocol: "grpc-watch"},
	} {
		got, reason := ailmentOf(in("pay/a", "", "", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK), &pb.ExplainResponse{Following: f})
		if got != want || (want == &followed) != (reason == "grpc-poll: its Watch ended without a message") {
			t.Errorf("%v: %+v, %q, want %+v", f, got, reason, want)
		}
	}
}

// TestDoctor examines real servers.
func TestDoctor(t *testing.T) {
	l := newLive(t, coordinator.Config{Build: "v9"})
	stdout, _ := l.does(1, "doctor")
	wantAll(t, stdout, "#doctor-clock") // the clock of the tests is far away
	l.now = time.Now
	stdout, _ = l.does(1, "doctor")
	wantAll(t, stdout, "✓ ok", "meshhealth v9", "plaintext, on loopback", "nothing is registered", "this caller may read everything", "docs/operations.md#doctor-nothing-registered", "1 warning.")
	s, address := stockServer(t)
	l.does(0, "register", "pay/a", "--address", address)
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	stdout, _ = l.does(0, "doctor")
	wantAll(t, stdout, "1 service, 1 instance", "grpc-watch", "Everything that was checked is well.")
	if stdout, _ = l.does(0, "doctor", "pay", "-o", "short"); stdout != "doctor "+l.at+" pay: ✓ ok\n" {
		t.Errorf("%q", stdout)
	}
	stdout, _ = l.does(2, "doctor", "pay/b")
	wantAll(t, stdout, "pay/b is not registered", "#doctor-not-registered")

	s.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	l.becomes("pay/a", pb.Status_STATUS_NOT_SERVING)
	stdout, _ = l.does(1, "doctor", "pay/a")
	wantAll(t, stdout, "the status is bad, as the instance itself says (1 instance): pay/a", "meshhealth explain pay/a")

	refused := nettest.Refusing(t)
	l.does(0, "register", "shop/a", "--address", refused)
	l.becomes("shop/a", pb.Status_STATUS_NOT_SERVING)
	stdout, _ = l.does(2, "doctor", "shop")
	wantAll(t, stdout, "shop/a", "#doctor-")
	stdout, _ = l.does(2, "doctor", "-o", "json")
	if !strings.Contains(stdout, `"step":"followed","level":"failed"`) {
		t.Error(stdout)
	}
	stdout, _ = l.does(2, "doctor", "--coordinator", refused)
	wantAll(t, stdout, "connection refused", "#doctor-address")
	stdout, _ = l.does(2, "doctor", "--coordinator", address)
	wantAll(t, stdout, "no coordinator", "#doctor-no-coordinator")
}

func wantAll(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestDoctorOfAnEmbeddedServer checks that a service with the library is not taken for a coordinator.
func TestDoctorOfAnEmbeddedServer(t *testing.T) {
	embedded, err := server.New(server.Config{Service: "pay"})
	if err != nil {
		t.Fatal(err)
	}
	at := probed(t, func(g *grpc.Server) { embedded.Register(g) })
	var s shell
	stdout, _, code := s.run(t.Context(), "doctor", "--coordinator", at)
	if code != 2 || !strings.Contains(stdout, "#doctor-no-coordinator") {
		t.Errorf("code %d: %s", code, stdout)
	}
}

// TestDoctorWithTLS checks certificates and rights.
func TestDoctorWithTLS(t *testing.T) {
	dir := t.TempDir()
	ca := nettest.NewAuthority(t)
	roots := ca.Roots(dir)
	cert, key := ca.Issue(dir, "mesh", 90*24*time.Hour)
	mine, myKey := ca.Issue(dir, "deploy", time.Hour)
	at := coordinates(t, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", roots, "--access-policy", "testdata/access.yaml")
	l := &live{t: t, at: at, shell: shell{env: map[string]string{coordinatorEnv: at}, now: time.Now}}
	stdout, _ := l.does(1, "doctor", "--tls-ca", roots)
	wantAll(t, stdout, "the certificate is valid for", "this caller may not read", "#doctor-access", "- skipped")
	stdout, _ = l.does(1, "doctor", "--tls-ca", roots, "--tls-cert", mine, "--tls-key", myKey)
	wantAll(t, stdout, "the certificate of this caller expires in 59m", "this caller may read everything", "#doctor-nothing-registered")
	stdout, _ = l.does(2, "doctor")
	wantAll(t, stdout, "#doctor-tls", "It may want TLS")
	stdout, _ = l.does(2, "doctor", "--tls-ca", nettest.NewAuthority(t).Roots(t.TempDir()))
	wantAll(t, stdout, "#doctor-tls", "Check --tls-ca")
}
