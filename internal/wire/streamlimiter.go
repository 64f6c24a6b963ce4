package wire

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/internal/domain"
)

// StreamLimiter counts the open streams of one kind, in total and for each peer. It refuses a stream
// if a limit is reached. Its methods may be called concurrently.
type StreamLimiter struct {
	kind           string // name of the kind in error texts, such as "Watch"
	total, perPeer int    // largest number of streams, in total and for one peer

	mu      sync.Mutex     // guards the fields below
	streams int            // number of streams that count for the limits: the open streams, plus held
	held    int            // number of streams that have ended but still count for the limits; see release
	peers   map[string]int // number of streams that count for the limits, by the name of the peer
}

// NewStreamLimiter returns a limiter for streams of a kind, such as "Watch". total and perPeer are the
// largest numbers of streams, in total and for one peer.
func NewStreamLimiter(kind string, total, perPeer int) *StreamLimiter {
	return &StreamLimiter{kind: kind, total: total, perPeer: perPeer, peers: map[string]int{}}
}

// Add counts a stream, or returns an error if a limit is reached. The caller must call
// release when the stream has ended.
func (l *StreamLimiter) Add(ctx context.Context) (release func(), err error) {
	addr := addrOf(ctx)
	host := peerOf(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams >= l.total {
		return nil, fmt.Errorf("%w: %d %s streams are open, the most this server takes", domain.ErrLimit, l.total, l.kind)
	}
	if l.peers[host] >= l.perPeer {
		return nil, fmt.Errorf("%w: %d %s streams are open from %s, the most one peer may have", domain.ErrLimit, l.perPeer, l.kind, host)
	}
	l.streams++
	l.peers[host]++
	return func() { l.release(ctx, addr, host) }, nil
}

// release must be called when a stream has ended. The stream no longer counts for the limits,
// unless its client does not read. In this case gRPC keeps the unread messages in memory until
// the connection closes, so the stream counts until that time.
func (l *StreamLimiter) release(ctx context.Context, addr fmt.Stringer, host string) {
	a, ok := addr.(PeerAddr)
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

func (l *StreamLimiter) removeStream(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams--
	if l.peers[host]--; l.peers[host] == 0 {
		delete(l.peers, host)
	}
}

func (l *StreamLimiter) addHeld(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held += n
}

// Count returns the number of open streams. It does not include streams that have ended but
// still count for the limits.
func (l *StreamLimiter) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams - l.held
}

// isStuck reports whether the server has ended a call because the client did not read.
func isStuck(ctx context.Context) bool {
	c := CallOf(ctx)
	return c != nil && c.Stuck.Load()
}

func addrOf(ctx context.Context) fmt.Stringer {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr
	}
	return nil
}

// peerOf returns the name of the peer with an address: an IPv4 address, an IPv6 network, or the
// identity in a verified certificate. The limit for one peer is for all streams together whose peers
// have the same name.
func peerOf(a fmt.Stringer) string {
	switch a := a.(type) {
	case nil:
		return ""
	case PeerAddr:
		return a.Peer()
	}
	return Peer(a.String(), PeerPrefix)
}
