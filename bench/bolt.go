package main

import (
	"encoding/json"
	"time"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// bareBolt is a bbolt database that the benchmark uses directly, for comparison with our store,
// which also uses bbolt. Each commit waits for the disk.
type bareBolt struct{ *bbolt.DB }

var bareBucket = []byte("registrations")

func openBare(path string) (*bareBolt, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoStatistics: true})
	if err != nil {
		return nil, err
	}
	return &bareBolt{db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bareBucket)
		return err
	})
}

// bareRecord returns a key and a value for the registration with the number i. They are as long as
// the key and the value that our store writes.
func bareRecord(i int) (key, value []byte, err error) {
	reg := registrationOf(i)
	key = []byte(reg.GetService() + "\x00" + reg.GetInstance())
	value, err = json.Marshal(store.Registration{
		ID: health.ID{}, Address: reg.GetAddress(), Labels: reg.GetLabels(), Zone: reg.GetZone(), Version: reg.GetVersion(),
		Static: true, Lease: ^uint64(i), RegisteredAt: time.Now(),
	})
	return key, value, err
}

// commits writes the records from first to end-1, each in a commit of its own. It returns the
// time that all commits took.
func (b *bareBolt) commits(first, end int) (time.Duration, error) {
	began := time.Now()
	for i := first; i < end; i++ {
		key, value, err := bareRecord(i)
		if err != nil {
			return 0, err
		}
		if err := b.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bareBucket).Put(key, value) }); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
