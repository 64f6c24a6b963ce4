package bolt

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// TestFormat fails when the format changes. A change needs a new format number, an
// upgrade, and a fixture of the format before it.
func TestFormat(t *testing.T) {
	if magic != "meshhealth coordinator store" || keyMagic != "magic" || keyFormat != "format" || bucketMeta != "meta" {
		t.Error("these names must not change: other releases look for them")
	}
	key := transitionKey(&store.Transition{Seq: 258, ID: killID(7), Lost: 1})
	if want := "\x00\x00\x00\x00\x00\x00\x01\x02gpay\x007"; string(key) != want {
		t.Errorf("key %q, want %q", key, want)
	}
	b := sampleBatch(40)
	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"registration": {&b.PutRegistrations[0], `{"address":"10.0.0.1:50051","lease":40,"registered_at":"1970-01-01T00:00:40Z"}`},
		"position":     {&store.Position{Consumer: "web", Seq: 3}, `{"seq":3}`},
		"action":       {&store.Transition{Action: 1, Scope: "zone=z", By: "ann", At: time.Unix(1, 0).UTC()}, `{"from":"UNKNOWN","to":"UNKNOWN","at":"1970-01-01T00:00:01Z","cause":"","action":1,"scope":"zone=z","by":"ann"}`},
		"override":     {&b.PutOverrides[0], `{"status":"MAINTENANCE","author":"ann","reason":"","set_at":"1970-01-01T00:00:40Z"}`},
		"status":       {&b.PutStatuses[0], `{"status":"SERVING","cause":"ok","since":"1970-01-01T00:00:40Z"}`},
		"transition":   {&store.Transition{Seq: 9, ID: killID(1), To: 3, Cause: 2, Lost: 4, At: time.Unix(1, 5).UTC()}, `{"from":"UNKNOWN","to":"NOT_SERVING","at":"1970-01-01T00:00:01.000000005Z","cause":"warned","lost":4}`},
		"summary":      {&summary{LastSeq: 1, LastBatch: 5, Statuses: 2}, `{"last_batch":5,"last_seq":1,"registrations":0,"overrides":0,"statuses":2,"transitions":0,"positions":0}`},
	} {
		record, err := encodeRecord("b", []byte("k"), c.v)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(record[recordHeader:]); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
	if record, _ := encodeRecord("b", []byte("k"), 1); string(record) != "\x01\x47\x8c\x9c\x51\x31" {
		t.Errorf("record %q", record)
	}
}

var rewrite = flag.Bool("rewrite", false, "write the results of the tests into testdata")

// fixtures returns the stores that earlier releases have written. A file
// testdata/format-N*.db has format N and never changes. The .txt file beside it describes
// its content. A coordinator has written format-1-coordinator.db. format-N.db has every
// field of every record.
func fixtures(t *testing.T) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.db")
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	images := map[string][]byte{}
	for _, name := range names {
		if images[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return images
}

// fixtureFormat returns the format in the name of a fixture.
func fixtureFormat(t *testing.T, name string) (n uint32) {
	t.Helper()
	if _, err := fmt.Sscanf(filepath.Base(name), "format-%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// formatOf returns the format of the file at path, which must be sound.
func formatOf(t *testing.T, path string) (n uint32) {
	t.Helper()
	if err := examineFile(path, &store.TimeIndex{}); err != nil {
		t.Fatal(err)
	}
	editFile(t, path, func(tx *bbolt.Tx) error {
		n = binary.BigEndian.Uint32(bucketOf(tx, bucketMeta).Get([]byte(keyFormat)))
		return nil
	})
	return n
}

// TestFixtures opens each fixture, which upgrades it, and compares its content.
func TestFixtures(t *testing.T) {
	for name, image := range fixtures(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			path := fileIn(t.TempDir())
			write(t, path, image)
			if got := formatOf(t, path); got != fixtureFormat(t, name) {
				t.Fatalf("the fixture has format %d", got)
			}
			checkFixture(t, path, strings.TrimSuffix(name, ".db")+".txt")
			if got := formatOf(t, path); got != format {
				t.Errorf("after Open: format %d, want %d", got, format)
			}
			checkFixture(t, path, strings.TrimSuffix(name, ".db")+".txt") // it is not upgraded twice
			commitDamaged(t, path, mustRead(t, path))
		})
	}
}

func checkFixture(t *testing.T, path, want string) {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := describe(t, s)
	if *rewrite {
		write(t, want, []byte(got))
	}
	if text := mustRead(t, want); got != string(text) {
		t.Errorf("the content is\n%s\nwant\n%s", got, text)
	}
}

// describe returns the content of a store, one record a line.
func describe(t *testing.T, s *Store) string {
	t.Helper()
	c := contentOf(t, s)
	var b strings.Builder
	line := func(kind string, key, record any) {
		text, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, kind, key, string(text))
	}
	for _, r := range c.state.Registrations {
		line("registration", r.ID, r)
	}
	for _, o := range c.state.Overrides {
		line("override", o.Scope, o)
	}
	for _, st := range c.state.Statuses {
		line("status", st.ID, st)
	}
	for _, p := range c.state.Positions {
		line("position", p.Consumer, p)
	}
	for _, tr := range c.journal {
		line(fmt.Sprintf("transition %d", tr.Seq), tr.ID, tr)
	}
	line("last batch", c.state.LastBatch, nil)
	line("alive", c.state.AliveAt, nil)
	return b.String()
}

// TestUpgradeFails ends an upgrade with an error or a panic after it has changed
// everything. The file must keep its format and content.
func TestUpgradeFails(t *testing.T) {
	real := upgrades[1]
	t.Cleanup(func() { upgrades[1] = real })
	broken := errors.New("the disk is full")
	for name, end := range map[string]func() error{
		"error": func() error { return broken },
		"panic": func() error { panic(broken) },
	} {
		for fixture, image := range fixtures(t) {
			if fixtureFormat(t, fixture) != 1 {
				continue
			}
			path := fileIn(t.TempDir())
			write(t, path, image)
			upgrades[1] = func(tx *bbolt.Tx) error { return errors.Join(real(tx), end()) }
			if s, err := Open(path, Options{}); err == nil || s != nil || !strings.Contains(err.Error(), "upgrade to format") {
				t.Errorf("%s, %s: %v", fixture, name, err)
			}
			if got := formatOf(t, path); got != 1 {
				t.Errorf("%s, %s: format %d, want 1", fixture, name, got)
			}
			upgrades[1] = real
			checkFixture(t, path, strings.TrimSuffix(fixture, ".db")+".txt")
		}
	}
}

// TestUpgradeOfLargeJournal upgrades more transitions than one page of the journal holds.
func TestUpgradeOfLargeJournal(t *testing.T) {
	path := fileIn(t.TempDir())
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &store.Batch{}
	for n := range 3 * store.MaxPage {
		tr := sampleBatch(n % 60).Transitions[0]
		if n%5 == 0 {
			tr.Action, tr.Scope, tr.ID.Service, tr.ID.Instance = store.ActionSet, "zone=z", "", ""
		}
		b.Transitions = append(b.Transitions, tr)
	}
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want := contentOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	editFile(t, path, downgrade)
	if got := formatOf(t, path); got != 1 {
		t.Fatalf("format %d, want 1", got)
	}
	if s, err = Open(path, Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := contentOf(t, s); !reflect.DeepEqual(got, want) {
		t.Error("the content has changed")
	}
}

// downgrade turns a store without overrides and positions into format 1.
func downgrade(tx *bbolt.Tx) error {
	var all []store.Transition
	err := loadAll(tx, bucketTransitions, &all, readTransition)
	b := bucketOf(tx, bucketTransitions)
	for i := range all {
		t := &all[i]
		if t.Action == store.ActionNone {
			continue
		}
		err = errors.Join(err, b.Delete(transitionKey(t)))
		t.ID.Instance, t.Scope = t.Scope, ""
		err = errors.Join(err, putRecord(b, bucketTransitions, transitionKey(t), t))
	}
	return errors.Join(err, tx.DeleteBucket([]byte(bucketPositions)),
		put(bucketMeta, keyFormat, []byte{0, 0, 0, 1})(tx))
}
