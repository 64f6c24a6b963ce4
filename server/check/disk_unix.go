//go:build linux || darwin || freebsd

package check

import "golang.org/x/sys/unix"

func diskFree(path string) (percent float64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	// The conversions are necessary, because the field types differ between operating systems.
	bytes, inodes := share(uint64(max(s.Bavail, 0)), uint64(s.Blocks)), share(uint64(max(s.Ffree, 0)), uint64(s.Files))
	return min(bytes, inodes), nil
}
