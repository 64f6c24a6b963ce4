package wire

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc/peer"
)

func TestPeersAreCountedByHost(t *testing.T) {
	l := NewStreamLimiter("Watch", 10, 2)
	from := func(address string) context.Context {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return peer.NewContext(t.Context(), &peer.Peer{Addr: tcp})
	}
	var leaves []func()
	for i, c := range []struct {
		address string
		refused bool
	}{
		{"192.0.2.1:1", false},
		{"192.0.2.1:2", false},
		{"192.0.2.1:3", true},
		{"192.0.2.2:1", false},
		{"[2001:db8::1]:1", false},
	} {
		leave, err := l.Add(from(c.address))
		if (err != nil) != c.refused {
			t.Errorf("%d: %s: %v, want refused %v", i, c.address, err, c.refused)
		}
		if err == nil {
			leaves = append(leaves, leave)
		}
	}
	if n := l.Count(); n != 4 {
		t.Errorf("%d open, want 4", n)
	}
	for _, leave := range leaves {
		leave()
	}
	if l.Count() != 0 || len(l.peers) != 0 {
		t.Errorf("%d open, %d peers after all have left", l.Count(), len(l.peers))
	}
}
