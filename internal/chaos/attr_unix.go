//go:build unix && !linux

package chaos

import "syscall"

// attr gives a child a group of its own, so that Ctrl-C leaves its end to us.
// If we die while it is stopped, the system lets it go on and hangs it up.
func attr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
