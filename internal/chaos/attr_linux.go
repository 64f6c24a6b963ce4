package chaos

import "syscall"

// attr gives a child a group of its own, so that Ctrl-C leaves its end to us;
// and the system kills it when we die, which a stopped one would not notice.
func attr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
