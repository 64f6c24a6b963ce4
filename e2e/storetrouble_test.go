//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// meddle makes system calls of a running process fail or hang, as inject describes for strace.
// The returned function ends this.
func meddle(t *testing.T, p *process, inject string) (end func()) {
	t.Helper()
	s := strace(t, p, inject)
	return func() {
		s.signal(syscall.SIGINT) // strace detaches from the process
		<-s.ended
	}
}

func strace(t *testing.T, p *process, inject string) *process {
	t.Helper()
	call, _, _ := strings.Cut(inject, ":")
	s := start(t, ".", "strace", "-f", "-p", strconv.Itoa(p.cmd.Process.Pid), "-o", os.DevNull,
		"-e", "trace="+call, "-e", "inject="+inject)
	s.line("attached")
	return s
}

func needStrace(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("NOT RUN: no running coordinator's store was made to fail, for that needs strace, and the right to trace: %v %s", err, out)
	}
}

// TestStoreFails makes the disk of a running coordinator fail, in several ways. Statuses must
// still be published, and registrations must be refused with the reason. When the fault ends,
// the coordinator must recover without a restart.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	needStrace(t)
	p, at, web := coordinator(t, "--data-dir", t.TempDir(), "--config", undamped(t))
	tr := newTroubled(t, at, web, 3)
	for _, c := range []struct{ name, inject, why string }{
		{"syncs fail", "fdatasync:error=EIO", "input/output error"},
		{"disk full", "pwrite64:error=ENOSPC", "no space left on device"},
		{"read-only", "pwrite64:error=EROFS", "read-only file system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr.t, tr.seen.t = t, t
			tr.endures(c.why, func() func() { return meddle(t, p, c.inject) })
		})
	}
}

// TestStoreIsSlow: while each commit takes a second, two waits for the disk, a
// registration waits for both, flips are seen, and the coordinator is well. TestStoreHangs
// shows that flips do not wait.
func TestStoreIsSlow(t *testing.T) {
	t.Parallel()
	needStrace(t)
	p, at, web := coordinator(t, "--data-dir", t.TempDir(), "--config", undamped(t))
	tr := newTroubled(t, at, web, 3)
	const delay = 500 * time.Millisecond
	end := meddle(t, p, fmt.Sprintf("fdatasync:delay_enter=%d", delay.Microseconds()))
	defer end()
	began, answered := time.Now(), make(chan error, 1)
	var took time.Duration // set before the answer is sent
	go func() {
		_, err := tr.register(context.Background())
		took = time.Since(began)
		answered <- err
	}()
	for i, s := range tr.servers {
		s.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
		tr.seen.until(pb.Status_STATUS_NOT_SERVING, tr.names[i])
	}
	if err := <-answered; err != nil || took < 2*delay {
		t.Errorf("the registration was answered after %v, and a commit takes %v: %v", took, 2*delay, err)
	}
	tr.seen.never(pb.Status_STATUS_DEGRADED, "")
}

// TestStoreHangs makes a sync of the disk hang. The coordinator must be DEGRADED with this
// reason, and must still publish changes. After SIGTERM it must end with an error that names
// the store.
func TestStoreHangs(t *testing.T) {
	t.Parallel()
	needStrace(t)
	dir := t.TempDir()
	p, at, web := coordinator(t, "--data-dir", dir, "--config", undamped(t))
	tr := newTroubled(t, at, web, 3)
	hold := strace(t, p, "fdatasync:delay_enter=600000000")
	go func() { _, _ = tr.register(context.Background()) }()
	tr.saysSo("store: a commit that began at ")
	tr.flips()
	out, stderr, code := call(t, meshhealth, "coordinator", "state", "--coordinator", at)
	if code != 1 || !strings.Contains(out, "has not ended, its commit takes ") {
		t.Errorf("exit %d: the state does not tell it:\n%s%s", code, out, stderr)
	}
	began := time.Now()
	p.signal(syscall.SIGTERM)
	p.line(regexp.QuoteMeta(filepath.Join(dir, "meshhealth.db")) + " is not closed")
	t.Logf("it gave up after %v", time.Since(began))
	hold.signal(syscall.SIGKILL) // strace does not detach from a thread whose call it delays
	if code := p.wait(); code == 0 {
		t.Error("it says that it has ended well")
	}
}

// tmpfs mounts a file system of the given size, and returns its folder.
func tmpfs(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("NOT RUN: no disk was filled, for that takes the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("%s is still mounted: %v", dir, err)
		}
	})
	return dir
}

// fill writes a file that takes all free space of the folder's file system.
func fill(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "filler")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
	if !strings.Contains(err.Error(), "no space left") {
		t.Fatal(err)
	}
	return file
}

// TestFullDisk fills the disk of a running coordinator, and frees the space again. The
// coordinator must do the same as in TestStoreFails.
func TestFullDisk(t *testing.T) {
	dir := tmpfs(t, "4m")
	_, at, web := coordinator(t, "--data-dir", dir, "--config", undamped(t))
	tr := newTroubled(t, at, web, 3)
	tr.endures("no space left on device", func() func() {
		filler := fill(t, dir)
		return func() {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestStartOnFullDisk starts a coordinator on a full disk. If there is a store, the coordinator
// must start, report the fault and recover. If there is none, the coordinator must end with an
// error, and leave no file.
func TestStartOnFullDisk(t *testing.T) {
	dir := tmpfs(t, "1m")
	filler := fill(t, dir)
	wontStart(t, dir, "no space left on device")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("beside what fills the disk: %v, %v", left, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p, _, _ := coordinator(t, "--data-dir", dir)
	p.stop(syscall.SIGTERM)
	fill(t, dir)
	_, at, web := coordinator(t, "--data-dir", dir)
	tr := newTroubled(t, at, web, 0)
	tr.refused("no space left on device")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	tr.well()
}

// TestStartOnReadOnlyDisk starts a coordinator on a read-only disk, with a store and without
// one. It must end with an error that says that the disk is read-only.
func TestStartOnReadOnlyDisk(t *testing.T) {
	dir := tmpfs(t, "1m")
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	wontStart(t, dir, "read-only file system")
	remount(0)
	p, _, _ := coordinator(t, "--data-dir", dir)
	p.stop(syscall.SIGTERM)
	remount(syscall.MS_RDONLY)
	wontStart(t, dir, "read-only", "the file was not changed", "writable for this user")
	remount(0)
	file := filepath.Join(dir, "meshhealth.db")
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	wontStart(t, dir, "read-only (mode -r--------)", "the file was not changed", "writable for this user")
}

// wontStart requires that a coordinator ends at once, with an error that names its data folder
// and contains the texts in why.
func wontStart(t *testing.T, dir string, why ...string) {
	t.Helper()
	_, stderr, code := call(t, meshhealth, "coordinator", "--listen", "127.0.0.1:0", "--http", "off", "--data-dir", dir)
	if code == 0 {
		t.Errorf("it started and ended well")
	}
	for _, w := range append(why, dir) {
		if !strings.Contains(stderr, w) {
			t.Errorf("%q does not say %q", stderr, w)
		}
	}
	t.Log(strings.TrimSpace(stderr))
}
