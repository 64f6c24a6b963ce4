package feed

import "testing"

// TestKeyOfAFeed: each feed has a key of its own, which does not change.
func TestKeyOfAFeed(t *testing.T) {
	one, two := New(1, 0), New(1, 0)
	if one.Key().IsZero() || one.Key().Equal(two.Key()) {
		t.Error("a feed has no key of its own")
	}
	if !one.Key().Equal(one.Key()) {
		t.Error("a feed changes its key")
	}
}
