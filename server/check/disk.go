package check

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// DiskFree judges how much of the file system a path is on is free, in percent:
// of its bytes or, where they are limited and fewer, of its inodes. What only
// root may use is not free.
func DiskFree(path string, limit Limit) Func {
	if path == "" {
		return wrong("path", "is empty")
	}
	return limit.checked(func(ctx context.Context) error {
		free, err := diskFree(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return limit.judge(ctx, free, "% free")
	})
}

// share returns free in percent of all; all of nothing is free.
func share(free, all uint64) float64 {
	if all == 0 {
		return 100
	}
	return 100 * float64(free) / float64(all)
}

// Writable writes a small file into a directory, has the disk keep it, and
// removes it: a full disk, one that has become read-only, and one that has died
// fail.
func Writable(dir string) Func {
	if dir == "" {
		return wrong("dir", "is empty")
	}
	return func(context.Context) error {
		f, err := os.CreateTemp(dir, ".meshhealth-")
		if err != nil {
			return err
		}
		_, err = f.WriteString("written to see whether it can be\n")
		return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	}
}
