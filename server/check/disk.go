package check

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// DiskFree checks the free space of the file system that contains path, in percent. If the
// file system limits inodes and fewer percent of them are free, the percentage of inodes
// counts. Space that only root can use is not free.
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

// share returns free in percent of all. If all is 0, it returns 100.
func share(free, all uint64) float64 {
	if all == 0 {
		return 100
	}
	return 100 * float64(free) / float64(all)
}

// Writable creates a small file in a directory, syncs it to the disk, and removes it. It
// fails if the disk is full, read-only or broken.
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
