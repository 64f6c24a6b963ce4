package grpchealth

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// DefaultMaxWatchers is the default of Config.MaxWatchers, in streams.
	DefaultMaxWatchers = 20_000
	// DefaultMaxWatchersPerPeer is the default of Config.MaxWatchersPerPeer, in streams.
	DefaultMaxWatchersPerPeer = 4096
)

// limiter counts Watch streams, in total and for each peer. It refuses a stream if a limit is
// reached.
type limiter struct {
	total, perPeer int // largest number of streams, in total and for one peer

	mu      sync.Mutex     // guards the fields below
	streams int            // number of streams that count for the limits: the open streams, plus held
	held    int            // number of streams that have ended but still count for the limits; see release
	peers   map[string]int // number of streams that count for the limits, by the name of the peer
}

func (l *limiter) init(total, perPeer int) {
	l.total, l.perPeer, l.peers = total, perPeer, map[string]int{}
	if total == 0 {
		l.total = DefaultMaxWatchers
	}
	if perPeer == 0 {
		l.perPeer = DefaultMaxWatchersPerPeer
	}
}

// addStream counts a stream, or returns an error if a limit is reached. The caller must call
// release when the stream has ended.
func (l *limiter) addStream(ctx context.Context) (release func(), err error) {
	addr := addrOf(ctx)
	host := peerOf(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams >= l.total {
		return nil, fmt.Errorf("%w: %d Watch streams are open, the most this server takes", domain.ErrLimit, l.total)
	}
	if l.peers[host] >= l.perPeer {
		return nil, fmt.Errorf("%w: %d Watch streams are open from %s, the most one peer may have", domain.ErrLimit, l.perPeer, host)
	}
	l.streams++
	l.peers[host]++
	return func() { l.release(ctx, addr, host) }, nil
}

// release must be called when a stream has ended. The stream no longer counts for the limits,
// unless its client does not read. In this case gRPC keeps the unread messages in memory until
// the connection closes, so the stream counts until that time.
func (l *limiter) release(ctx context.Context, addr net.Addr, host string) {
	a, ok := addr.(wire.PeerAddr)
	if !ok || !isStuck(ctx) {
		l.removeStream(host)
		return
	}
	l.addHeld(1)
	a.AfterClose(func() {
		l.addHeld(-1)
		l.removeStream(host)
	})
}

func (l *limiter) removeStream(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams--
	if l.peers[host]--; l.peers[host] == 0 {
		delete(l.peers, host)
	}
}

func (l *limiter) addHeld(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held += n
}

// count returns the number of open streams. It does not include streams that have ended but
// still count for the limits.
func (l *limiter) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams - l.held
}

// isStuck reports whether the server has ended a call because the client did not read.
func isStuck(ctx context.Context) bool {
	c := wire.CallOf(ctx)
	return c != nil && c.Stuck.Load()
}

func addrOf(ctx context.Context) net.Addr {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr
	}
	return nil
}

// peerOf returns the name of the peer with an address: an IPv4 address, an IPv6 network, or the
// identity in a verified certificate. The limit MaxWatchersPerPeer is for all streams together
// whose peers have the same name.
func peerOf(a net.Addr) string {
	switch a := a.(type) {
	case nil:
		return ""
	case wire.PeerAddr:
		return a.Peer()
	}
	return wire.Peer(a.String(), wire.PeerPrefix)
}
