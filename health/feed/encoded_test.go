package feed

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

// Each audience has a slot of its own, which is filled once.
func TestEncodedPerAudience(t *testing.T) {
	b := newPublisher(0).publish("a/1", "b/1")
	calls := 0
	say := func(text string) func(*Batch) []byte {
		return func(*Batch) []byte { calls++; return []byte(text) }
	}
	for range 3 {
		if got := b.Encoded(Encoding{Audience: Public}, say("public")); string(got) != "public" {
			t.Errorf("public gets %q", got)
		}
		if got := b.Encoded(Encoding{Audience: Full}, say("full")); string(got) != "full" {
			t.Errorf("full gets %q", got)
		}
	}
	if calls != 2 {
		t.Errorf("encoded %d times, want once for each audience", calls)
	}
	for _, e := range b.Entries {
		for range 2 {
			for audience, text := range map[Audience]string{Public: "p", Full: "f"} {
				if got := e.Encoded(Encoding{Audience: audience}, func(e *Entry) []byte { return []byte(text + e.ID.String()) }); string(got) != text+e.ID.String() {
					t.Errorf("%s gets %q", e.ID, got)
				}
			}
		}
	}
}

// TestEncodedNoServiceZones: a batch has bytes of its own for NoServiceZones, and drops them when it is
// old. An entry has the same bytes.
func TestEncodedNoServiceZones(t *testing.T) {
	for _, format := range []Format{Protobuf, JSON} {
		p := newPublisher(0)
		b := p.publish("a/1", "b/1")
		calls := 0
		read := func() {
			for _, fewer := range []bool{false, true} {
				e, want := Encoding{Format: format, Audience: Full, NoServiceZones: fewer}, fmt.Sprint(fewer)
				if got := b.Encoded(e, func(*Batch) []byte { calls++; return []byte(want) }); string(got) != want {
					t.Errorf("%+v gets %q", e, got)
				}
				b.Entries[1].Encoded(e, func(*Entry) []byte { calls++; return nil })
			}
		}
		read()
		if read(); calls != 3 {
			t.Errorf("format %d: encoded %d times while current, want 3", format, calls)
		}
		for range encodedBatches {
			p.publish("a/1")
		}
		if read(); calls != 3+2 {
			t.Errorf("format %d: encoded %d times, want 5", format, calls)
		}
	}
}

// TestEncodingsShareNothing: each encoding has bytes of its own, in an entry and in a batch.
func TestEncodingsShareNothing(t *testing.T) {
	b := newPublisher(0).publish("a/1")
	both := []bool{false, true}
	for range 2 {
		for format := range numFormats {
			for audience := range numAudiences {
				for i := range 8 {
					e := Encoding{Format: format, Audience: audience, Routes: both[i&1], Filtered: both[i>>1&1], NoServiceZones: both[i>>2]}
					want := fmt.Sprintf("%+v", e)
					if got := b.Encoded(e, func(*Batch) []byte { return []byte(want) }); string(got) != want {
						t.Errorf("a batch in %s has %s", want, got)
					}
					e.NoServiceZones = false
					want = fmt.Sprintf("%+v", e)
					if got := b.Entries[0].Encoded(e, func(*Entry) []byte { return []byte(want) }); string(got) != want {
						t.Errorf("an entry in %s has %s", want, got)
					}
				}
			}
		}
	}
}

// An empty encoding is kept too.
func TestEncodedEmpty(t *testing.T) {
	b := newPublisher(0).publish("a/1")
	calls := 0
	for range 3 {
		b.Encoded(Encoding{Audience: Public}, func(*Batch) []byte { calls++; return nil })
	}
	if calls != 1 {
		t.Errorf("encoded %d times", calls)
	}
}

// TestJSONOfOldEntries: an entry that was replaced keeps no bytes in the format JSON, and a batch that is
// not one of the newest keeps none. Readers that still need such bytes get them.
func TestJSONOfOldEntries(t *testing.T) {
	p := newPublisher(0)
	first := p.publish("a/1", "b/1")
	calls := 0
	read := func() {
		for _, e := range first.Entries {
			if got := e.Encoded(Encoding{Format: JSON, Audience: Full}, func(e *Entry) []byte { calls++; return []byte(e.ID.String()) }); string(got) != e.ID.String() {
				t.Errorf("%s gets %q", e.ID, got)
			}
		}
		if got := first.Encoded(Encoding{Format: JSON, Audience: Full}, func(*Batch) []byte { calls++; return []byte("all") }); string(got) != "all" {
			t.Errorf("the batch gets %q", got)
		}
	}
	read()
	if read(); calls != 3 {
		t.Errorf("encoded %d times while current, want 3", calls)
	}
	for range encodedBatches {
		p.publish("a/1")
	}
	read()
	if read(); calls != 3+4 { // a/1 and the batch, twice
		t.Errorf("encoded %d times, want 7", calls)
	}
	if e := (Encoding{Format: JSON, Audience: Full}); first.Entries[0].slots.first.Load().find(e) != nil || first.slots.first.Load().find(e) != nil {
		t.Error("old bytes are kept")
	}
}

func TestEncodedAtOnce(t *testing.T) {
	e := newPublisher(0).publish("a/1").Entries[0]
	var readers sync.WaitGroup
	for range 20 {
		readers.Go(func() {
			for audience, want := range map[Audience][]byte{Public: []byte("p"), Full: []byte("f")} {
				if got := e.Encoded(Encoding{Audience: audience}, func(*Entry) []byte { return bytes.Clone(want) }); !bytes.Equal(got, want) {
					t.Errorf("audience %d gets %q", audience, got)
				}
			}
		})
	}
	readers.Wait()
}
