package client

import (
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// TestKeys checks that a registration has the key of its Feed, which its server proves.
// Without a Feed it has the key of the Client, which no server proves.
func TestKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		c, another := w.client(), w.client()
		one, two := newSource(t, 1, 0), newSource(t, 2, 0)
		register := func(c *Client, s *source) call {
			i := instance()
			if s != nil {
				i.Feed = s.Feed
			}
			mustRegister(t, c, i)
			calls := w.registry.came("Register")
			return calls[len(calls)-1]
		}
		without := register(c, nil)
		if len(without.key) != health.KeyBytes || without.proves {
			t.Errorf("without a Feed: a key of %d bytes, proves %v", len(without.key), without.proves)
		}
		again := register(c, nil)
		wantEqual(t, "the key of a Client", again.key, without.key)
		wantEqual(t, "its incarnation", again.incarnation, without.incarnation)
		if other := register(another, nil); other.key == without.key {
			t.Error("two Clients have the same key")
		}
		with := register(c, one)
		wantEqual(t, "the key of a Feed", with.key, string(one.Key().Bytes()))
		if !with.proves {
			t.Error("with a Feed it proves nothing")
		}
		again = register(c, one)
		wantEqual(t, "incarnation of a Feed", again.incarnation, with.incarnation)
		// The coordinator refuses another key with the same incarnation.
		if other := register(c, two); other.incarnation == with.incarnation || with.incarnation == without.incarnation {
			t.Error("another Feed has the same incarnation")
		}
	})
}
