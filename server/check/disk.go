package check

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// DiskFree returns a check of the free space, in percent, of the file system that contains path. If
// the file system has a limited number of inodes, the check uses the lower of two percentages: of
// free space and of free inodes. Space that only root can use is not free.
func DiskFree(path string, limit Limit) Func {
	if path == "" {
		return invalid("path", "is empty")
	}
	return limit.validated(func(ctx context.Context) error {
		free, err := diskFree(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return limit.evaluate(ctx, free, "% free")
	})
}

// share returns 100*free/total: the free part in percent. It returns 100 if total is 0.
func share(free, total uint64) float64 {
	if total == 0 {
		return 100
	}
	return 100 * float64(free) / float64(total)
}

// Writable returns a check that creates a small file in a directory, syncs it to the disk, and
// removes it. It fails if the disk is full, read-only or broken.
func Writable(dir string) Func {
	if dir == "" {
		return invalid("dir", "is empty")
	}
	return func(context.Context) error {
		f, err := os.CreateTemp(dir, ".meshhealth-")
		if err != nil {
			return err
		}
		_, err = f.WriteString("written to test the directory\n")
		return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	}
}
