package resolver_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/client/resolver"
)

// dropping dials addresses. While the packets to healthy instances of rig.many are dropped, a dial to
// them does not end before its time limit.
type dropping struct {
	r       *rig
	healthy map[string]bool
	drop    atomic.Bool
}

func (d *dropping) dial(ctx context.Context, address string) (net.Conn, error) {
	if d.healthy[address] && d.drop.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.r.net.Dial(ctx, address)
}

// cut drops packets from now on, and ends the connections to the healthy instances.
func (d *dropping) cut() {
	d.drop.Store(true)
	for address := range d.healthy {
		d.r.net.Cut(address)
	}
}

// TestFallbackWithoutAnswer: if the healthy instances answer no dial for 10 s, the policy meshhealth
// uses the degraded ones, which have no share otherwise. It goes back when a healthy one is connected.
func TestFallbackWithoutAnswer(t *testing.T) {
	bubble(t, "", func(t *testing.T, r *rig) {
		r.many(3, 1)
		d := &dropping{r: r, healthy: map[string]bool{}}
		for i := range 3 {
			d.healthy[fmt.Sprintf("127.0.0.1:%d", 9000+i)] = true
		}
		d.drop.Store(true)
		conn, err := grpc.NewClient("meshhealth:///pay", grpc.WithResolvers(r.resolver(resolver.Config{})),
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(d.dial),
			grpc.WithDefaultServiceConfig(resolver.ServiceConfig))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		state := func(passed time.Duration, want connectivity.State) {
			t.Helper()
			after(passed)
			if got := conn.GetState(); got != want {
				t.Fatalf("the channel is %v, want %v", got, want)
			}
		}
		calls := func(want ...string) {
			t.Helper()
			sum := 0
			got := r.counts(conn, 30)
			for _, name := range want {
				sum += got[name]
			}
			if sum != 30 {
				t.Fatalf("calls went to %v, want %v", got, want)
			}
		}
		conn.Connect()
		synctest.Wait()
		state(9*time.Second, connectivity.Connecting)
		state(2*time.Second, connectivity.Ready)
		calls("3")
		state(time.Minute, connectivity.Ready) // the dials have failed, and are tried again
		calls("3")
		d.drop.Store(false)
		after(3 * time.Minute) // the longest pause between dials is 2 min
		calls("0", "1", "2")
		d.cut()
		state(9*time.Second, connectivity.Connecting)
		state(2*time.Second, connectivity.Ready)
		calls("3")
	})
}
