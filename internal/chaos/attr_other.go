//go:build !unix

package chaos

import "syscall"

func attr() *syscall.SysProcAttr { return nil }
