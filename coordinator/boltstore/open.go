package boltstore

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// Options of a store. The zero value is good.
type Options struct {
	// MaxTransitions bounds the journal: 0 means store.DefaultTransitions,
	// negative keeps none. A lower bound than before takes effect with the next
	// Commit.
	MaxTransitions int
}

// lockTimeout is how long a file that another process has open is waited for:
// long enough for a predecessor that is just closing it.
const lockTimeout = time.Second

// Open opens the store in the file at path, or makes a new one if there is
// none, with its folder. Whatever else is there is refused with one of this
// package's errors, and left as it is.
func Open(path string, opts Options) (*Store, error) {
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, noPlace(path, err)
	}
	if err := examine(path); err != nil {
		return nil, err
	}
	s := &Store{path: path, maxTransitions: store.JournalBound(opts.MaxTransitions)}
	err := s.open()
	if err != nil {
		return nil, openError(path, err)
	}
	return s, nil
}

// create makes a new store beside path and links it there when it is whole: a
// crash leaves nothing half made, and of two who create only one succeeds.
func create(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return noPlace(path, err)
	}
	f, err := os.CreateTemp(folder, "."+filepath.Base(path)+".new-*")
	if err != nil {
		return noPlace(path, err)
	}
	defer os.Remove(f.Name())
	err = errors.Join(f.Close(), fill(f.Name()))
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("boltstore: %s: making a new store: %w", path, err)
	}
	return syncFolder(folder)
}

func noPlace(path string, err error) error {
	return &refused{path: path, why: ErrNoPlace, detail: err.Error()}
}

func fill(path string) error {
	db, err := bbolt.Open(path, 0o600, boltOptions())
	if err != nil {
		return err
	}
	return errors.Join(db.Update(found), db.Close())
}

// syncFolder makes a new name in it last.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("boltstore: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("boltstore: %w", err)
	}
	return nil
}

func boltOptions() *bbolt.Options {
	return &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoStatistics: true}
}

// examine looks at the file without changing it.
func examine(path string) error {
	if err := examineOutside(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("boltstore: %w", err)
	}
	defer f.Close()
	return openError(path, locked(path, (&examiner{file: f}).examine))
}

// examineOutside judges by what the file system knows.
func examineOutside(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("boltstore: %w", err)
	case !info.Mode().IsRegular():
		return &refused{path: path, why: ErrNotAFile, detail: info.Mode().Type().String()}
	case info.Size() == 0:
		return &refused{path: path, why: ErrEmpty}
	case info.Mode().Perm()&0o222 == 0:
		// Permissions do not bind an administrator, but somebody has set them.
		return &refused{path: path, why: ErrReadOnly, detail: "mode " + info.Mode().Perm().String()}
	}
	// Nobody knows better than the system whether it may be written to.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return &refused{path: path, why: ErrReadOnly, detail: err.Error()}
	}
	return f.Close()
}

// locked runs f while no other process can open the file for writing. If bbolt
// cannot open it at all, nobody else can: f then tells why.
func locked(path string, f func() error) error {
	opts := boltOptions()
	opts.ReadOnly = true
	return guard(func() error {
		db, err := bbolt.Open(path, 0, opts)
		if errors.Is(err, berrors.ErrTimeout) {
			return err
		}
		if err == nil {
			defer db.Close()
		}
		return cmp.Or(f(), err)
	})
}

// openError turns what was found into a refusal.
func openError(path string, err error) error {
	var why *misfit
	switch {
	case err == nil:
		return nil
	case errors.As(err, &why):
		return &refused{path: path, why: why.why, detail: why.detail}
	case errors.Is(err, berrors.ErrTimeout):
		return &refused{path: path, why: ErrLocked}
	case damage(err):
		return &refused{path: path, why: ErrDamaged, detail: err.Error()}
	default:
		return fmt.Errorf("boltstore: %s: %w", path, err)
	}
}

// damage tells what only a damaged file can be the reason of.
func damage(err error) bool {
	var f *fault
	var s *spoiled
	return errors.As(err, &f) || errors.As(err, &s) || errors.Is(err, io.EOF) || errors.Is(err, berrors.ErrInvalid) ||
		errors.Is(err, berrors.ErrChecksum) || errors.Is(err, berrors.ErrVersionMismatch)
}
