//go:build linux

package bed

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/xds"
)

// Dial returns a gRPC client in a namespace that follows istiod without a proxy and takes the
// endpoints in turn. The target is xds:///HOST:PORT.
func (b *Bed) Dial(t testing.TB, namespace, target string) *grpc.ClientConn {
	t.Helper()
	resolver, err := xds.NewXDSResolverWithConfigForTesting(b.Bootstrap(t, namespace))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(target, grpc.WithResolvers(resolver), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// callEvery is the time from one call of a caller of a Load to its next call.
const callEvery = 2 * time.Millisecond

// Load calls the endpoints of a connection until the test ends.
type Load struct {
	cancel  context.CancelFunc
	callers sync.WaitGroup

	mu      sync.Mutex
	calls   map[string]int       // the calls that an address answered
	last    map[string]time.Time // when the last of them ended
	failed  []error              // at most 1,000
	changed chan struct{}        // closed with the next answer
}

// Load starts callers. Each of them makes a call every 2 ms: the standard Check with the name "". A call
// has failed if it ends with an error, after at most 5 s.
func (b *Bed) Load(t testing.TB, conn *grpc.ClientConn, callers int) *Load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &Load{cancel: cancel, calls: map[string]int{}, last: map[string]time.Time{}, changed: make(chan struct{})}
	for range callers {
		l.callers.Go(func() { l.call(ctx, healthpb.NewHealthClient(conn)) })
	}
	t.Cleanup(func() { l.Stop() })
	return l
}

// call calls until ctx ends.
func (l *Load) call(ctx context.Context, client healthpb.HealthClient) {
	tick := time.NewTicker(callEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var p peer.Peer
		// A call that has begun is not cut off by the end of the load.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		_, err := client.Check(limited, &healthpb.HealthCheckRequest{}, grpc.Peer(&p))
		cancel()
		l.count(p, err)
	}
}

func (l *Load) count(p peer.Peer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if len(l.failed) < 1000 {
			l.failed = append(l.failed, fmt.Errorf("%s: %w", time.Now().Format(time.StampMilli), err))
		}
		return
	}
	address := p.Addr.String()
	l.calls[address]++
	l.last[address] = time.Now()
	close(l.changed)
	l.changed = make(chan struct{})
}

// Next waits until an address answers one more call, and returns when that call ended. The test fails
// after a minute.
func (l *Load) Next(t testing.TB, address string) time.Time {
	t.Helper()
	before, _ := l.of(address)
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		calls, last, changed := l.calls[address], l.last[address], l.changed
		l.mu.Unlock()
		if calls > before {
			return last
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%s: got no call within %v", address, patience)
		}
	}
}

// Quiet waits until an address has got no call for a time, while others got calls, and returns when
// its last call ended. The test fails after a minute.
func (l *Load) Quiet(t testing.TB, address string, d time.Duration) time.Time {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		last, changed := l.last[address], l.changed
		l.mu.Unlock()
		if time.Since(last) >= d {
			return last
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%s: still gets calls after %v", address, patience)
		}
	}
}

// of returns the number of calls that an address answered, and when the last of them ended.
func (l *Load) of(address string) (calls int, last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[address], l.last[address]
}

// Counts returns the number of calls that each address has answered, and the errors of the calls that failed.
// At most 1,000 errors are kept.
func (l *Load) Counts() (calls map[string]int, failed []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls = map[string]int{}
	for address, n := range l.calls {
		calls[address] = n
	}
	return calls, append([]error(nil), l.failed...)
}

// Stop ends the load, waits for the calls that are under way, and returns the same as Counts.
func (l *Load) Stop() (calls map[string]int, failed []error) {
	l.cancel()
	l.callers.Wait()
	return l.Counts()
}
