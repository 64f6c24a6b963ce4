package grpchealth

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// limiter counts open Watch streams, in total and per peer's host.
type limiter struct {
	total, perPeer int

	mu    sync.Mutex
	open  int
	peers map[string]int
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

// enter counts one in; leave counts it out.
func (l *limiter) enter(ctx context.Context) (leave func(), err error) {
	host := peerHost(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.total {
		return nil, fmt.Errorf("%w: %d Watch streams are open, the most this server takes", wire.ErrLimit, l.total)
	}
	if l.peers[host] >= l.perPeer {
		return nil, fmt.Errorf("%w: %d Watch streams are open from %s, the most one peer may have", wire.ErrLimit, l.perPeer, host)
	}
	l.open++
	l.peers[host]++
	return func() { l.leave(host) }, nil
}

func (l *limiter) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.peers[host]--; l.peers[host] == 0 {
		delete(l.peers, host)
	}
}

func (l *limiter) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

func peerHost(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}
