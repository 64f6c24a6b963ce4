package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Load reads and checks a configuration file of at most 16 MiB. It also reads the certificate
// files and the access policy that are named in it, and checks the folder data_dir. Relative paths are relative to the
// folder of the file. An empty file is an error.
//
// The error has one line per fault, in the form FILE:LINE: KEY: TEXT. IsFault reports
// whether an error is such a list. If ctx ends, Load returns early.
func Load(ctx context.Context, name string) (*Settings, error) {
	if err := input.CheckPath(name); err != nil {
		return nil, err
	}
	p := &input.Problems{File: name}
	text, err := input.Read(ctx, input.MaxFile, func() (io.ReadCloser, error) { return os.Open(name) })
	switch {
	case errors.Is(err, input.ErrTooLarge):
		p.Add(0, "", "%v", err)
		return nil, p
	case err != nil:
		return nil, err
	}
	s := read(p, text, filepath.Dir(name))
	if s.empty {
		p.Add(0, "", "is empty; allowed: a configuration, or services: [] for none")
	}
	s.checkFiles(p)
	if err := p.Err(); err != nil || s.AccessPolicy == "" {
		return s, err
	}
	_, err = LoadAccessPolicy(ctx, s.AccessPolicy)
	if err != nil {
		return s, accessError(err)
	}
	return s, nil
}

// Parse reads the text of a configuration file. It opens no file, and accepts an empty text.
// Errors show name as the name of the file. Relative paths are relative to dir.
func Parse(name string, text []byte, dir string) (*Settings, error) {
	p := &input.Problems{File: name}
	s := read(p, text, dir)
	return s, p.Err()
}

// IsFault reports whether err lists faults in the text of a file. If IsFault returns false,
// the file could not be read, and err says why.
func IsFault(err error) bool {
	_, ok := errors.AsType[*input.Problems](err)
	return ok
}

// accessError adds the name of the setting to err if the file could not be read. An error about the content
// of the file already names the file.
func accessError(err error) error {
	if IsFault(err) {
		return err
	}
	return fmt.Errorf("access_policy: %w", err)
}

// checkFiles reads the certificate files of all sections, and checks the folder data_dir.
func (s *Settings) checkFiles(p *input.Problems) {
	if s.Coordinator.DataDir != "" {
		if err := CheckDataDir(s.Coordinator.DataDir); err != nil {
			p.Add(s.dataDirLine, "data_dir", "%v", err)
		}
	}
	s.TLS.checkFiles(p)
	s.Dial.Default.checkFiles(p)
	for _, t := range s.Dial.Services {
		t.checkFiles(p)
	}
}

// CheckDataDir returns an error if a path cannot be the path of a folder. It accepts a folder that
// does not exist, because coordinator.New creates the folder.
func CheckDataDir(dir string) error {
	if dir == coordinator.Off {
		return nil
	}
	if err := input.CheckPath(dir); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(dir); err == nil {
			return fmt.Errorf("%q is a link to nowhere; allowed: a folder", dir)
		}
		return nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("%q is no folder (%v); allowed: a folder", dir, withoutPath(err))
	case !info.IsDir():
		return fmt.Errorf("%q is no folder; allowed: a folder", dir)
	}
	return nil
}

// withoutPath removes the path from an error of the file system, and returns its cause. It returns
// other errors unchanged.
func withoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// CheckHTTP returns an error if the text is neither an address to listen on nor coordinator.Off.
func CheckHTTP(address string) error {
	if address == coordinator.Off {
		return nil
	}
	return wire.CheckListen(address)
}
