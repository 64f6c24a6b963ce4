package check_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/meshhealth/meshhealth/internal/machine"

	"github.com/meshhealth/meshhealth/server/check"
)

func TestDiskFree(t *testing.T) {
	dir := t.TempDir()
	wantEvidence(t, "some", check.DiskFree(dir, check.AtLeast(0, 0)), machine.Pass)
	wantEvidence(t, "never enough", check.DiskFree(dir, check.AtLeast(101, 0)), machine.Warn, "% free")
	wantEvidence(t, "nothing but failure", check.DiskFree(dir, check.AtLeast(102, 101)), machine.Fail, "% free")
	wantEvidence(t, "not there", check.DiskFree(filepath.Join(dir, "no"), check.AtLeast(0, 0)), machine.Fail, "no such file")
	wantEvidence(t, "empty", check.DiskFree("", check.AtLeast(0, 0)), machine.Fail, "is empty")
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	wantEvidence(t, "is", check.Writable(dir), machine.Pass)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	wantEvidence(t, "not there", check.Writable(filepath.Join(dir, "no")), machine.Fail, "no such file")
	// Nobody can create files here, not even root.
	if _, err := os.Stat("/proc/self"); err == nil {
		wantEvidence(t, "read-only", check.Writable("/proc/self"), machine.Fail)
	}
	wantEvidence(t, "empty", check.Writable(""), machine.Fail, "is empty")
}
