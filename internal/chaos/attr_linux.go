package chaos

import "syscall"

// childAttributes gives a child process a process group of its own, so that Ctrl-C does not
// reach the child. The system kills the child when its parent dies, since a suspended child
// does not notice the end of its stdin.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
