package chaos

import "syscall"

// childAttributes gives a child a process group of its own, so that Ctrl-C does not
// reach the child. The system kills the child when its parent dies. A suspended child
// would not notice the end of its stdin.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
