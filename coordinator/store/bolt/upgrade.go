package bolt

import (
	"errors"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// upgrades holds, for each earlier format, the function that converts a store of this format to the
// next format.
var upgrades = map[uint32]func(tx *bbolt.Tx) error{1: upgradeFormat1}

// needsUpgrade reports whether the file has an earlier format.
func needsUpgrade(tx *bbolt.Tx) (bool, error) {
	n, err := parseFormat(bucketOf(tx, bucketMeta).Get([]byte(keyFormat)))
	return n < format, err
}

// upgradeFormat converts a store of an earlier format to the current format.
func upgradeFormat(tx *bbolt.Tx) error {
	n, err := parseFormat(bucketOf(tx, bucketMeta).Get([]byte(keyFormat)))
	for ; err == nil && n < format; n++ {
		err = upgrades[n](tx)
	}
	return errors.Join(err, writeFormat(tx))
}

// upgradeFormat1 converts a store of format 1 to format 2. It adds the bucket for positions, and
// a scope to actions on overrides. The key of an override becomes the text of the scope. In
// format 1 this key was made from an ID, see scopeFormat1.
func upgradeFormat1(tx *bbolt.Tx) error {
	s, err := readSummary(tx)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucket([]byte(bucketPositions)); err != nil {
		return err
	}
	if s.Overrides, err = upgradeOverrides1(tx); err != nil {
		return err
	}
	return errors.Join(upgradeActions1(tx), writeSummary(tx, &s))
}

// scopeFormat1 returns the text of the scope for the key of an override in format 1. This key was
// made from an ID, which named an instance, a service, or a selector. For a selector, the ID had an
// empty Service, and Instance was the text of the selector.
func scopeFormat1(key []byte) (scope string, selector, ok bool) {
	id, ok := parseID(key)
	if id.Service == "" {
		return id.Instance, true, ok
	}
	return id.String(), false, ok
}

// readOverride1 decodes an override from a record of format 1.
func readOverride1(key, record []byte) (o store.Override, err error) {
	scope, _, ok := scopeFormat1(key)
	if !ok || scope == "" {
		return o, &corruption{placeOf(bucketOverrides, key), errKey}
	}
	err = decodeRecord(bucketOverrides, key, record, &o)
	o.Scope = scope
	return o, err
}

// upgradeOverrides1 writes all overrides of a store of format 1 under the keys of format 2, and
// returns their number.
func upgradeOverrides1(tx *bbolt.Tx) (int, error) {
	var all []store.Override
	if err := loadAll(tx, bucketOverrides, &all, readOverride1); err != nil {
		return 0, err
	}
	if err := tx.DeleteBucket([]byte(bucketOverrides)); err != nil {
		return 0, err
	}
	b, err := tx.CreateBucket([]byte(bucketOverrides))
	for i := range all {
		if err == nil {
			err = putRecord(b, bucketOverrides, []byte(all[i].Scope), &all[i])
		}
	}
	return len(all), err
}

// upgradeActions1 handles a store of format 1. It adds the scope to all transitions that are
// actions on overrides.
func upgradeActions1(tx *bbolt.Tx) error {
	var actions []store.Transition
	b := bucketOf(tx, bucketTransitions)
	err := b.ForEach(func(key, record []byte) error {
		t, err := readTransition(key, record)
		if err == nil && t.Action != store.ActionNone {
			actions = append(actions, t)
		}
		return err
	})
	for i := range actions {
		if err == nil {
			err = upgradeAction1(b, &actions[i])
		}
	}
	return err
}

func upgradeAction1(b *bbolt.Bucket, t *store.Transition) error {
	old := transitionKey(t)
	scope, selector, _ := scopeFormat1(idKey(t.ID))
	t.Scope = scope
	if selector {
		t.ID.Instance = ""
	}
	return errors.Join(b.Delete(old), putRecord(b, bucketTransitions, transitionKey(t), t))
}
