package check_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server/check"
)

func TestDiskFree(t *testing.T) {
	dir := t.TempDir()
	wantEvidence(t, "some", check.DiskFree(dir, check.AtLeast(0, 0)), health.Pass)
	wantEvidence(t, "never enough", check.DiskFree(dir, check.AtLeast(101, 0)), health.Warn, "% free")
	wantEvidence(t, "nothing but failure", check.DiskFree(dir, check.AtLeast(102, 101)), health.Fail, "% free")
	wantEvidence(t, "not there", check.DiskFree(filepath.Join(dir, "no"), check.AtLeast(0, 0)), health.Fail, "no such file")
	wantEvidence(t, "empty", check.DiskFree("", check.AtLeast(0, 0)), health.Fail, "is empty")
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	wantEvidence(t, "is", check.Writable(dir), health.Pass)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	wantEvidence(t, "not there", check.Writable(filepath.Join(dir, "no")), health.Fail, "no such file")
	// Not even root may create files here.
	if _, err := os.Stat("/proc/self"); err == nil {
		wantEvidence(t, "read-only", check.Writable("/proc/self"), health.Fail)
	}
	wantEvidence(t, "empty", check.Writable(""), health.Fail, "is empty")
}
