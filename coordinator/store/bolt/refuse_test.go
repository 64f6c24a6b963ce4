package bolt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

func TestRefused(t *testing.T) {
	one := string(idKey(killID(1)))
	encoded, err := encodeRecord(bucketRegistrations, []byte(one), &store.Registration{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    error
	}{
		"directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, ErrNotAFile},
		"device": {func(t *testing.T, path string) {
			if err := os.Symlink(os.DevNull, path); err != nil {
				t.Skip(err)
			}
		}, ErrNotAFile},
		"empty":                    {text(""), ErrEmpty},
		"short text":               {text("x"), ErrForeign},
		"text":                     {text(strings.Repeat("some text\n", 5000)), ErrForeign},
		"zeros":                    {text(strings.Repeat("\x00", 1<<16)), ErrForeign},
		"bbolt":                    {others("other"), ErrForeign},
		"bbolt with a meta bucket": {others(bucketMeta), ErrForeign},
		"newer format":             {edit(put(bucketMeta, keyFormat, []byte{0, 0, 0, 3})), ErrNewerFormat},
		"far newer format, other records": {edit(func(tx *bbolt.Tx) error {
			return errors.Join(put(bucketMeta, keyFormat, []byte{1, 0, 0, 0})(tx), put(bucketMeta, keySummary, []byte("?"))(tx))
		}), ErrNewerFormat},
		"read-only": {func(t *testing.T, path string) {
			image, _ := sample(t)
			write(t, path, image)
			if err := os.Chmod(path, 0o400); err != nil {
				t.Fatal(err)
			}
		}, ErrReadOnly},

		"position after the journal": {edit(func(tx *bbolt.Tx) error {
			sum, err := readSummary(tx)
			sum.Positions++
			return errors.Join(err, writeSummary(tx, &sum), putRecord(bucketOf(tx, bucketPositions), bucketPositions, []byte("x"), &store.Position{Seq: 1 << 40}))
		}), ErrDamaged},
		"bucket of a later format":  {edit(put(bucketMeta, keyFormat, []byte{0, 0, 0, 1})), ErrDamaged},
		"no positions":              {edit(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(bucketPositions)) }), ErrDamaged},
		"format 0":                  {edit(put(bucketMeta, keyFormat, []byte{0, 0, 0, 0})), ErrDamaged},
		"no format":                 {edit(put(bucketMeta, keyFormat, nil)), ErrDamaged},
		"no state":                  {edit(put(bucketMeta, keySummary, nil)), ErrDamaged},
		"empty record":              {edit(put(bucketRegistrations, one, nil)), ErrDamaged},
		"strange record":            {edit(put(bucketRegistrations, one, []byte("\x02strange"))), ErrDamaged},
		"record elsewhere":          {edit(put(bucketRegistrations, string(idKey(killID(2))), encoded)), ErrDamaged},
		"record of another":         {edit(put(bucketStatuses, one, encoded)), ErrDamaged},
		"one more record":           {edit(put(bucketRegistrations, "new\x00", mustEncode(t, bucketRegistrations, "new\x00"))), ErrDamaged},
		"key without a zero byte":   {edit(put(bucketRegistrations, "new", mustEncode(t, bucketRegistrations, "new"))), ErrDamaged},
		"short key of a transition": {edit(put(bucketTransitions, "new", mustEncode(t, bucketTransitions, "new"))), ErrDamaged},
		"number out of order": {edit(func(tx *bbolt.Tx) error {
			st, err := readSummary(tx)
			st.Transitions++ // the count is right, the number is not
			return errors.Join(err, writeSummary(tx, &st),
				put(bucketTransitions, futureKey, mustEncode(t, bucketTransitions, futureKey))(tx))
		}), ErrDamaged},
		"one record less": {edit(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketRegistrations)).Delete([]byte(one))
		}), ErrDamaged},
		"no bucket": {edit(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(bucketOverrides)) }), ErrDamaged},
		"one bucket more": {edit(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("more"))
			return err
		}), ErrDamaged},
		"bucket for a record": {edit(func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte(bucketStatuses)).CreateBucket([]byte("more"))
			return err
		}), ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) { refusedCase(t, c.prepare, c.want) })
	}
}

func refusedCase(t *testing.T, prepare func(t *testing.T, path string), want error) {
	t.Helper()
	path := fileIn(t.TempDir())
	prepare(t, path)
	checkRefused(t, path, want)
}

func checkRefused(t *testing.T, path string, want error) {
	t.Helper()
	before := stamp(t, path)
	s, err := Open(path, Options{})
	if s != nil || !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
	text := err.Error()
	if !strings.Contains(text, path) || !strings.HasSuffix(text, want.(*refusal).advice) || strings.Count(text, "store:") != 1 {
		t.Errorf("the error says %q", text)
	}
	if stamp(t, path) != before {
		t.Error("the file or its folder was changed")
	}
	t.Log(err)
}

// stamp returns a text of all that Open must not change when it refuses a path: names,
// modes, times and contents of the files in the folder.
func stamp(t *testing.T, path string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(filepath.Dir(path), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(name + " " + info.Mode().String() + " " + info.ModTime().Format(time.RFC3339Nano) + "\n")
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(name)
		b.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func text(content string) func(*testing.T, string) {
	return func(t *testing.T, path string) { write(t, path, []byte(content)) }
}

// others returns a function that makes a bbolt file of another program.
func others(bucket string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		editFile(t, path, func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte(bucket))
			return errors.Join(err, b.Put([]byte("k"), []byte("v")))
		})
	}
}

var futureKey = string(transitionKey(&store.Transition{Seq: 1 << 40, ID: killID(1)}))

func mustEncode(t *testing.T, bucket, key string) []byte {
	t.Helper()
	record, err := encodeRecord(bucket, []byte(key), struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestLocked(t *testing.T) {
	path := fileIn(t.TempDir())
	c := startChild(t, "hold", path)
	if !c.lines.Scan() {
		t.Fatal("the child did not open the store")
	}
	checkRefused(t, path, ErrLocked)
	if err := errors.Join(c.stdin.Close(), c.cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatalf("after the other process has ended: %v", err)
	}
	checkRefused(t, path, ErrLocked) // by this process
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
