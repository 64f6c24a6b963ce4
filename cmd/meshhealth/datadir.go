package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// checkDataDir refuses what cannot be a folder. One that is not there yet is
// made, and whether it may be written to shows then.
func checkDataDir(dir string) error {
	if dir == off {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		_, lerr := os.Lstat(dir)
		if lerr == nil {
			return fmt.Errorf("%q is a link to nowhere; allowed: a folder", dir)
		}
		return nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("%q is no folder (%v); allowed: a folder", dir, unwrapped(err))
	case !info.IsDir():
		return fmt.Errorf("%q is no folder; allowed: a folder", dir)
	}
	return nil
}

// unwrapped leaves out the path, which is told already.
func unwrapped(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}
