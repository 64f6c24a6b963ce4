package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// TestStubKinds checks what each kind answers to Check, to a Watch that was opened
// before the target changed, and to the Watch of meshhealth.v1.
func TestStubKinds(t *testing.T) {
	want := map[string]string{
		"check-only":               "SERVING, NOT_SERVING, SERVING; Unimplemented; Unimplemented",
		"watch-ok":                 "SERVING, NOT_SERVING, SERVING; ends; Unimplemented",
		"watch-unknown":            "SERVING, NOT_SERVING, SERVING; Unknown; Unimplemented",
		"watch-internal":           "SERVING, NOT_SERVING, SERVING; Internal; Unimplemented",
		"watch-unavailable":        "SERVING, NOT_SERVING, SERVING; Unavailable; Unimplemented",
		"watch-permissiondenied":   "SERVING, NOT_SERVING, SERVING; PermissionDenied; Unimplemented",
		"watch-resourceexhausted":  "SERVING, NOT_SERVING, SERVING; ResourceExhausted; Unimplemented",
		"refuses-unauthenticated":  "SERVING, NOT_SERVING, SERVING; SERVING NOT_SERVING SERVING; Unauthenticated",
		"refuses-permissiondenied": "SERVING, NOT_SERVING, SERVING; SERVING NOT_SERVING SERVING; PermissionDenied",
		"refuses-notfound":         "SERVING, NOT_SERVING, SERVING; SERVING NOT_SERVING SERVING; NotFound",
		"refuses-internal":         "SERVING, NOT_SERVING, SERVING; SERVING NOT_SERVING SERVING; Internal",
		"refuses-unavailable":      "SERVING, NOT_SERVING, SERVING; SERVING NOT_SERVING SERVING; Unavailable",
		"constant-ends":            "SERVING, NOT_SERVING, SERVING; SERVING ends; Unimplemented",
		"constant-stays":           "SERVING, NOT_SERVING, SERVING; SERVING; Unimplemented",
		"once-ends":                "SERVING, NOT_SERVING, SERVING; SERVING ends; Unimplemented",
		"once-stays":               "SERVING, NOT_SERVING, SERVING; SERVING; Unimplemented",
		"silent":                   "SERVING, NOT_SERVING, SERVING; ; Unimplemented",
		"silent-header":            "SERVING, NOT_SERVING, SERVING; header; Unimplemented",
		"quota":                    "SERVING, NOT_SERVING, SERVING; SERVING NOT_SERVING SERVING; Unimplemented",
		"late":                     "NotFound, NOT_SERVING, SERVING; SERVICE_UNKNOWN NOT_SERVING SERVING; Unimplemented",
		"late-check":               "NotFound, NOT_SERVING, SERVING; Unimplemented; Unimplemented",
		"check-hangs":              "DeadlineExceeded, DeadlineExceeded, DeadlineExceeded; SERVING NOT_SERVING SERVING; Unimplemented",
		"check-error":              "SERVING, Unknown, SERVING; Unimplemented; Unimplemented",
		"no-health-service":        "Unimplemented, Unimplemented, Unimplemented; Unimplemented; Unimplemented",
	}
	for _, k := range stubKinds {
		synctest.Test(t, func(t *testing.T) {
			if got := askStub(t, &k); got != want[k.name] {
				t.Errorf("%s: %q, want %q", k.name, got, want[k.name])
			}
		})
		delete(want, k.name)
	}
	for name := range want {
		t.Errorf("there is no kind %s", name)
	}
}

// askStub hosts a target of a kind, changes it twice, and returns the answers.
func askStub(t *testing.T, k *stubKind) string {
	ctx, cancel := context.WithCancel(t.Context())
	h := &host{ctx: ctx, out: &writer{to: io.Discard}}
	defer h.close()
	defer cancel()
	l := bufconn.Listen(1 << 16)
	one := &target{h: h, id: payA, name: "pay", source: byStub}
	h.serveStub(k, l, []*target{one})
	one.setState(serving)
	conn, err := grpc.NewClient("passthrough:///stub", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // no call is open
	said, stop := watchStub(t, conn)
	checks := []string{checkStub(t, conn)}
	for _, s := range []State{notServing, serving} {
		one.setState(s)
		synctest.Wait()
		checks = append(checks, checkStub(t, conn))
	}
	stream, err := pb.NewHealthServiceClient(conn).Watch(ctx, &pb.WatchRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	stop()
	return strings.Join(checks, ", ") + "; " + strings.Join(*said, " ") + "; " + status.Code(err).String()
}

func checkStub(t *testing.T, conn *grpc.ClientConn) string {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: "pay"})
	if err != nil {
		return status.Code(err).String()
	}
	return resp.GetStatus().String()
}

// watchStub opens a Watch. The list of its messages is complete when stop has returned.
func watchStub(t *testing.T, conn *grpc.ClientConn) (said *[]string, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: "pay"})
	if err != nil {
		t.Fatal(err)
	}
	said = new([]string)
	var wg sync.WaitGroup
	wg.Go(func() {
		header, err := stream.Header()
		for err == nil {
			var m *healthpb.HealthCheckResponse
			if m, err = stream.Recv(); err == nil {
				*said = append(*said, m.GetStatus().String())
			}
		}
		switch {
		case ctx.Err() != nil && header != nil && len(*said) == 0:
			*said = append(*said, "header")
		case ctx.Err() != nil:
		case errors.Is(err, io.EOF):
			*said = append(*said, "ends")
		default:
			*said = append(*said, status.Code(err).String())
		}
	})
	synctest.Wait()
	return said, func() { synctest.Wait(); cancel(); wg.Wait() }
}

// TestStubGroups checks that every kind is hosted statically and leased, and that the
// service name contains the kind.
func TestStubGroups(t *testing.T) {
	for _, leased := range []bool{false, true} {
		groups := stubGroups(leased)
		if len(groups) != len(stubKinds) {
			t.Errorf("%d groups, want one of each of the %d kinds", len(groups), len(stubKinds))
		}
		for _, g := range groups {
			id := g.first()
			if got := stubKindOf(id); got != g.Kind || g.Leased != leased || g.source() != byStub {
				t.Errorf("%s has the kind %q; leased: %t; source %s", id, got, g.Leased, g.source())
			}
			want := g.Kind != "no-health-service"
			if got := len(changingTargets([]health.ID{id})) == 1; got != want || (g.state() == serving) != want {
				t.Errorf("%s changes: %t; its first state is %s", id, got, g.state())
			}
		}
	}
}

// TestKindRefused checks that an unknown kind is an error.
func TestKindRefused(t *testing.T) {
	err := RunHost(t.Context(), strings.NewReader(`{"Groups":[{"Kind":"broken","Service":"pay","Targets":1}]}`+"\n"), io.Discard)
	if want := `there is no kind "broken" of targets`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestHostOpens checks that a command opens more groups. Mute targets write no line,
// and a given address is used.
func TestHostOpens(t *testing.T) {
	l, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	in := fmt.Sprintf(`{}
{"Seq":1,"Do":"open","Groups":[{"Kind":"check-only","Service":"pay","Targets":1,"Each":1,"Mute":true,"At":[%q]}]}
`, at)
	var out bytes.Buffer
	if err := RunHost(t.Context(), strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	if want := "ready\ndone 1 \"\"\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	g := Group{Targets: 3, PerAddress: 2, At: []string{at}}
	for n, want := range []string{at, at, anyPort} {
		if got := g.address(n); got != want {
			t.Errorf("target %d is at %s, want %s", n, got, want)
		}
	}
}
