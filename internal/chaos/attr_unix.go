//go:build unix && !linux

package chaos

import "syscall"

// childAttributes gives a child process a process group of its own, so that Ctrl-C does not
// reach the child. If the parent dies while the child is suspended, the system resumes the
// child and sends SIGHUP.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
