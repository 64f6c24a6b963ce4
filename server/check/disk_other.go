//go:build !linux && !darwin && !freebsd && !windows

package check

import "errors"

func diskFree(string) (percent float64, err error) {
	return 0, errors.New("free space is not available on this operating system")
}
