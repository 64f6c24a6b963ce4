package bolt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// Options are the options of Open. The zero value has the defaults.
type Options struct {
	// MaxTransitions is the largest number of transitions in the journal. 0 means
	// store.DefaultTransitions; a negative number means an empty journal. If the number is
	// lower than before, the next Commit drops the oldest transitions.
	MaxTransitions int
}

// lockTimeout is how long Open waits if another process has opened the file. This is long enough
// if that process is about to close the file.
const lockTimeout = time.Second

// Open opens the store in the file at path. If there is no file, it makes the folder and an empty
// store. It upgrades a store of an earlier format. It refuses any other file with one of the
// errors of this package, and does not change that file.
func Open(path string, opts Options) (*Store, error) {
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := createFile(path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, noPlaceError(path, err)
	default:
		// The process that made the file may have been killed before it synced the name. A user that may not
		// read the folder cannot sync it.
		if err := syncFolder(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
	}
	s := &Store{path: path, maxTransitions: store.JournalBound(opts.MaxTransitions), indeterminate: true}
	if err := examineFile(path, &s.times); err != nil {
		return nil, err
	}
	if err := s.openFile(); err != nil {
		return nil, openError(path, err)
	}
	if err := errors.Join(s.upgrade(), s.completeTimes()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// createFile makes an empty store in a temporary file, and links this file to path when the store
// is complete. So a crash never leaves an incomplete store at path. If two processes create the
// same store at the same time, both use the file of the first process.
func createFile(path string) error {
	folder := filepath.Dir(path)
	if err := makeFolder(folder); err != nil {
		return noPlaceError(path, err)
	}
	f, err := os.CreateTemp(folder, "."+filepath.Base(path)+".new-*")
	if err != nil {
		return noPlaceError(path, err)
	}
	defer os.Remove(f.Name())
	err = errors.Join(f.Close(), writeEmptyStore(f.Name()))
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("store: %s: cannot make an empty store: %w", path, err)
	}
	return syncFolder(folder)
}

// makeFolder makes a folder and the folders above it, and syncs each name before it makes the next folder.
// So only the name of the lowest folder that exists may not be durable, if a process was killed before.
func makeFolder(path string) error {
	above := filepath.Dir(path)
	if isFolder(path) {
		_ = syncFolder(above) // this user may have no right to read it, and then has not made the name
		return nil
	}
	if above != path {
		if err := makeFolder(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !isFolder(path) { // another process may have made it
		return err
	}
	return syncFolder(above)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func noPlaceError(path string, err error) error {
	return &refusedFile{path: path, why: ErrNoPlace, detail: err.Error()}
}

func writeEmptyStore(path string) error {
	db, err := bbolt.Open(path, 0o600, boltOptions())
	if err != nil {
		return err
	}
	return errors.Join(db.Update(createBuckets), db.Close())
}

// syncFolder syncs a folder, so that the names of new files in the folder are durable.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func boltOptions() *bbolt.Options {
	return &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoStatistics: true}
}

// examineFile checks every page and every record of a file, and does not change the file. It adds
// each transition to times.
func examineFile(path string, times *store.TimeIndex) error {
	if err := checkFileMode(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	return openError(path, withReadLock(path, (&examiner{file: f, times: times}).examine))
}

// checkFileMode checks three things: the file is a regular file, it is not empty, and this process
// may write to it.
func checkFileMode(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("store: %w", err)
	case !info.Mode().IsRegular():
		return &refusedFile{path: path, why: ErrNotAFile, detail: info.Mode().Type().String()}
	case info.Size() == 0:
		return &refusedFile{path: path, why: ErrEmpty}
	case info.Mode().Perm()&0o222 == 0:
		// An administrator may write even to a file whose mode forbids writing. Open refuses such
		// a file, because a person has chosen this mode.
		return &refusedFile{path: path, why: ErrReadOnly, detail: "mode " + info.Mode().Perm().String()}
	}
	// Only an attempt to open the file shows whether this process may write to it.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return &refusedFile{path: path, why: ErrReadOnly, detail: err.Error()}
	}
	return f.Close()
}

// withReadLock runs f under a read lock of the file, so that no other process can write to it. If
// bbolt cannot open the file, f runs without the lock. This is safe, because no other process can
// open such a file either. The error of f is returned first, because it says more than the error
// of bbolt.
func withReadLock(path string, f func() error) error {
	opts := boltOptions()
	opts.ReadOnly = true
	return catchPanics(func() error {
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

// openFile opens a file that examineFile has accepted.
func (s *Store) openFile() error {
	opts := boltOptions()
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		// O_CREATE is removed, so that os.OpenFile fails if the file no longer exists.
		s.file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
		return s.file, err
	}
	return catchPanics(func() (err error) {
		s.db, err = bbolt.Open(s.path, 0o600, opts)
		return err
	})
}

// upgrade converts a store of an earlier format to the current format in one transaction. So
// after a crash or an error the file has the earlier format or the current one.
func (s *Store) upgrade() error {
	var earlier bool
	err := s.view(context.Background(), func(tx *bbolt.Tx) (err error) {
		earlier, err = needsUpgrade(tx)
		return err
	})
	if err != nil || !earlier {
		return err
	}
	if err := s.update(context.Background(), upgradeFormat); err != nil {
		return fmt.Errorf("store: upgrade to format %d: %w", format, err)
	}
	return nil
}

// completeTimes adds transitions that another process has written after the file was examined.
func (s *Store) completeTimes() error {
	for {
		segment, err := s.TransitionsAfter(context.Background(), store.Cursor{After: s.times.Last(), Limit: store.MaxPage})
		if err != nil {
			return err
		}
		for i := range segment.Transitions {
			s.times.Add(&segment.Transitions[i])
		}
		if len(segment.Transitions) < store.MaxPage {
			return nil
		}
	}
}
