//go:build linux

package bed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// PodNetwork has the addresses that Pods may have. All of them are addresses of the test's own
// network namespace. Kubernetes refuses endpoints in 127.0.0.0/8.
const PodNetwork = "10.2.0.0/16"

// nodeIP is the address of the node.
const nodeIP = "10.2.0.1"

// inNamespace is set in the environment of the process that runs the tests.
const inNamespace = "MESHHEALTH_KUBE_NAMESPACE"

// Main runs the tests of a package in a network namespace, and exits with their exit code. Call it
// from TestMain. The process starts itself once more: a process with threads cannot leave its
// namespace.
//
// The test binary is also the program of Bed.Service.
func Main(m *testing.M) {
	if options := os.Getenv(inService); options != "" {
		if err := runService(options); err != nil {
			fmt.Fprintf(os.Stderr, "bed: the service ended: %v\n", err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(inNamespace) == "" {
		os.Exit(again())
	}
	if err := addresses(); err != nil {
		fmt.Fprintf(os.Stderr, "bed: the network namespace has no addresses: %v\n", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again runs this program in a network namespace, and returns its exit code.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 { // only root may create a network namespace without a user namespace
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "bed: this process may not create a network namespace, which the tests need: %v\n", err)
		return 1
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	default:
		fmt.Fprintf(os.Stderr, "bed: %v\n", err)
		return 1
	}
}

// addresses gives the loopback device 127.0.0.1 and all of PodNetwork. An address of the loopback
// device makes its whole network local.
func addresses() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, step := range []struct {
		request uint
		device  string
		set     func(*unix.Ifreq) error
	}{
		{unix.SIOCSIFFLAGS, "lo", func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
		{unix.SIOCSIFADDR, "lo:1", func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{10, 2, 0, 1}) }},
		{unix.SIOCSIFNETMASK, "lo:1", func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 0, 0}) }},
	} {
		request, err := unix.NewIfreq(step.device)
		if err != nil {
			return err
		}
		if err := step.set(request); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, step.request, request); err != nil {
			return fmt.Errorf("%s: ioctl %#x: %w", step.device, step.request, err)
		}
	}
	return nil
}
