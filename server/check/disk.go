package check

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// DiskFree checks which percentage of the file system that contains path is free. If the file
// system has a limited number of inodes, their free percentage counts too, and the lower of both
// decides. Space that only root can use is not free.
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

// share returns the percentage that free is of all. It returns 100 if all is 0.
func share(free, all uint64) float64 {
	if all == 0 {
		return 100
	}
	return 100 * float64(free) / float64(all)
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
