package coordinator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/audit"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// adminAt returns a client of a coordinator at a gRPC target, in plaintext.
func adminAt(t *testing.T, target string) pb.AdminServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return pb.NewAdminServiceClient(conn)
}

// TestLocalAdministration: without a policy, an override is refused over loopback, and the refusal names the unix
// socket. Over the socket it is accepted, its author is the user of this process, and the audit log has both.
func TestLocalAdministration(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("the kernel does not name the user at the other end of a socket")
	}
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	c, err := New(ctx, Config{Listen: "127.0.0.1:0", HTTP: Off, DataDir: dir, Static: []Target{{Service: "pay", Instance: "a", Address: "127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	if c.Socket() != filepath.Join(dir, SocketName) {
		t.Errorf("the socket is at %q", c.Socket())
	}
	set := &pb.SetOverrideRequest{Name: "pay", Status: pb.Status_STATUS_MAINTENANCE, Author: "eve", Reason: "new disks", Ttl: durationpb.New(time.Hour)}
	_, err = adminAt(t, c.Addr().String()).SetOverride(ctx, set, grpc.WaitForReady(true))
	if status.Code(err) != codes.PermissionDenied || wire.SocketOf(err) != c.Socket() {
		t.Errorf("over loopback: %v, with the socket %q", err, wire.SocketOf(err))
	}
	admin := adminAt(t, "unix:"+c.Socket())
	waitForTarget(t, admin)
	if _, err := admin.SetOverride(ctx, set); err != nil {
		t.Errorf("over the socket: %v", err)
	}
	list, err := admin.ListOverrides(ctx, &pb.ListOverridesRequest{})
	me := fmt.Sprintf("unix:uid=%d", os.Getuid())
	if err != nil || len(list.GetOverrides()) != 1 || !strings.HasPrefix(list.GetOverrides()[0].GetOverride().GetAuthor(), me) {
		t.Errorf("%v, %v", list, err)
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(c.Socket()); err == nil {
		t.Error("the file of the socket is still there")
	}
	folder := filepath.Join(dir, audit.Folder)
	report, err := audit.Verify(folder, audit.Noted{})
	if err != nil || !report.Sound() {
		t.Errorf("%+v, %v", report, err)
	}
	var lines []string
	if _, err := audit.Read(folder, func(l *audit.Line) bool {
		lines = append(lines, fmt.Sprintf("%s %s %s %s by %s", l.Kind, l.Outcome, l.Verb, l.Object, l.Identity))
		return true
	}); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"refused denied override pay by ", "write accepted override pay by " + me} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
}

// waitForTarget waits until the coordinator follows the target of its configuration.
func waitForTarget(t *testing.T, admin pb.AdminServiceClient) {
	t.Helper()
	for {
		got, err := admin.GetCoordinator(t.Context(), &pb.GetCoordinatorRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got.GetInstances() > 0 {
			return
		}
		runtime.Gosched()
	}
}
