//go:build e2e || soak

package storefaults

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// syncedDisk is a file system that keeps only what was synced (compat/syncedfs). A process of its own serves
// it.
type syncedDisk struct {
	mountpoint string
	cmd        *exec.Cmd
	commands   io.WriteCloser
	answers    *bufio.Scanner
	errors     strings.Builder
}

// needSyncedDisk builds the program that serves a syncedDisk. It skips the test if such a file system cannot
// be mounted.
func needSyncedDisk(t *testing.T) (program string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("NOT RUN: the power cuts on a file system need Linux with FUSE")
	}
	program = filepath.Join(t.TempDir(), "syncedfs")
	build := exec.Command("go", "build", "-C", "../../compat", "-o", program, "./syncedfs")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building compat/syncedfs: %v\n%s", err, out)
	}
	d, err := mountSynced(program, filepath.Join(t.TempDir(), "probe"))
	if err != nil {
		t.Skipf("NOT RUN: the power cuts on a file system need FUSE: /dev/fuse, and the right to mount: %v", err)
	}
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
	return program
}

// mountSynced mounts a file system at a new folder.
func mountSynced(program, mountpoint string, options ...string) (*syncedDisk, error) {
	if err := os.Mkdir(mountpoint, 0o700); err != nil {
		return nil, err
	}
	d := &syncedDisk{mountpoint: mountpoint, cmd: exec.Command(program, append(options, mountpoint)...)}
	d.cmd.Stderr = &d.errors
	var errIn, errOut error
	var out io.Reader
	d.commands, errIn = d.cmd.StdinPipe()
	out, errOut = d.cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return nil, err
	}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	d.answers = bufio.NewScanner(out)
	if !d.answers.Scan() || d.answers.Text() != "mounted" {
		return nil, errors.Join(fmt.Errorf("%q", d.answers.Text()), d.end())
	}
	return d, nil
}

// stop makes the n-th changing call from now on kill its caller, and all later ones fail. 0 means none.
func (d *syncedDisk) stop(n int) error {
	_, err := d.ask("stop", n)
	return err
}

// image writes what a kill ("all") or a power cut ("synced", "some") leaves into a folder.
func (d *syncedDisk) image(keep string, seed uint64, folder string) error {
	_, err := d.ask("image", keep, seed, folder)
	return err
}

// ask sends a command. It returns the number of changing calls that the file system has had.
func (d *syncedDisk) ask(command ...any) (calls int, err error) {
	if _, err := fmt.Fprintln(d.commands, command...); err != nil {
		return 0, err
	}
	if !d.answers.Scan() {
		return 0, fmt.Errorf("the file system has ended: %s", d.errors.String())
	}
	if !scan(d.answers.Text(), "ok %d", &calls) {
		err = errors.New(d.answers.Text())
	}
	return calls, err
}

// end unmounts the file system.
func (d *syncedDisk) end() error {
	err := errors.Join(d.commands.Close(), d.cmd.Wait())
	if text := d.errors.String(); text != "" {
		err = errors.Join(err, errors.New(strings.TrimSpace(text)))
	}
	return err
}
