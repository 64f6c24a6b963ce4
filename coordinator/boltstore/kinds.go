package boltstore

import (
	"errors"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

var errKey = errors.New("not a key of this bucket")

func readRegistration(key, record []byte) (r store.Registration, err error) {
	r.ID, err = readNamed(bucketRegistrations, key, record, &r)
	return r, err
}

func readOverride(key, record []byte) (o store.Override, err error) {
	o.ID, err = readNamed(bucketOverrides, key, record, &o)
	return o, err
}

func readStatus(key, record []byte) (s store.Status, err error) {
	s.ID, err = readNamed(bucketStatuses, key, record, &s)
	return s, err
}

// readNamed reads a record into v, and its name from the key.
func readNamed(bucket string, key, record []byte, v any) (health.ID, error) {
	id, ok := parseID(key)
	if !ok {
		return id, &spoiled{place(bucket, key), errKey}
	}
	return id, unseal(bucket, key, record, v)
}

func readTransition(key, record []byte) (t store.Transition, err error) {
	seq, gap, name, ok := parseTransitionKey(key)
	if !ok {
		return t, &spoiled{place(bucketTransitions, key), errKey}
	}
	if err := unseal(bucketTransitions, key, record, &t); err != nil {
		return t, err
	}
	t.Seq = seq
	t.ID, ok = parseID(name)
	if !ok || gap != (t.Lost > 0) {
		return t, &spoiled{place(bucketTransitions, key), errKey}
	}
	return t, nil
}
