package coordinator

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/store/bolt"
	"github.com/meshhealth/meshhealth/internal/audit"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
)

// StoreFile is the name of the store's file in Config.DataDir.
const StoreFile = "meshhealth.db"

// openStore returns the store that cfg describes.
func openStore(cfg *Config) (store.Store, error) {
	switch {
	case cfg.Store != nil:
		return cfg.Store, nil
	case cfg.DataDir == "":
		return store.NewMemory(0), nil
	}
	s, err := bolt.Open(filepath.Join(cfg.DataDir, StoreFile), bolt.Options{})
	if err != nil {
		return nil, err // returning s would be wrong: an interface that holds a nil *bolt.Store is not nil
	}
	return s, nil
}

// storeName returns the words that name the store in an error text.
func storeName(cfg *Config) string {
	if cfg.DataDir == "" {
		return "the store"
	}
	return "the store " + filepath.Join(cfg.DataDir, StoreFile)
}

// closeStore closes a store. It returns an error if this takes longer than registry.StopWithin,
// because a disk may block forever. In this case only the end of the process closes the store.
func closeStore(s store.Store, name string) error {
	closing := make(chan error, 1)
	go func() { closing <- s.Close() }()
	limit := time.NewTimer(registry.StopWithin)
	defer limit.Stop()
	select {
	case err := <-closing:
		return err
	case <-limit.C:
		return fmt.Errorf("%s is not closed within %v", name, registry.StopWithin)
	}
}

// openAudit opens the audit log in the data folder. It returns nil if there is no such folder.
func openAudit(cfg *Config) (*audit.Log, error) {
	if cfg.DataDir == "" || cfg.Store != nil {
		return nil, nil
	}
	log, err := audit.Open(filepath.Join(cfg.DataDir, audit.Folder), audit.Options{Detail: "build " + cmp.Or(cfg.Build, "unknown"), Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return log, nil
}
