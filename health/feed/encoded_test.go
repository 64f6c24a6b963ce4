package feed

import (
	"bytes"
	"sync"
	"testing"
)

// Each audience has a slot of its own, filled once.
func TestEncodedPerAudience(t *testing.T) {
	b := newPublisher(0).publish("a/1", "b/1")
	calls := 0
	say := func(text string) func(*Batch) []byte {
		return func(*Batch) []byte { calls++; return []byte(text) }
	}
	for range 3 {
		if got := b.Encoded(Public, say("public")); string(got) != "public" {
			t.Errorf("public gets %q", got)
		}
		if got := b.Encoded(Full, say("full")); string(got) != "full" {
			t.Errorf("full gets %q", got)
		}
	}
	if calls != 2 {
		t.Errorf("encoded %d times, want once for each audience", calls)
	}
	for _, e := range b.Entries {
		for range 2 {
			for key, text := range map[Key]string{Public: "p", Full: "f"} {
				if got := e.Encoded(key, func(e *Entry) []byte { return []byte(text + e.ID.String()) }); string(got) != text+e.ID.String() {
					t.Errorf("%s gets %q", e.ID, got)
				}
			}
		}
	}
}

// Nothing encoded is an encoding too.
func TestEncodedEmpty(t *testing.T) {
	b := newPublisher(0).publish("a/1")
	calls := 0
	for range 3 {
		b.Encoded(Public, func(*Batch) []byte { calls++; return nil })
	}
	if calls != 1 {
		t.Errorf("encoded %d times", calls)
	}
}

func TestEncodedAtOnce(t *testing.T) {
	e := newPublisher(0).publish("a/1").Entries[0]
	var readers sync.WaitGroup
	for range 20 {
		readers.Go(func() {
			for key, want := range [][]byte{Public: []byte("p"), Full: []byte("f")} {
				if got := e.Encoded(Key(key), func(*Entry) []byte { return bytes.Clone(want) }); !bytes.Equal(got, want) {
					t.Errorf("audience %d gets %q", key, got)
				}
			}
		})
	}
	readers.Wait()
}
