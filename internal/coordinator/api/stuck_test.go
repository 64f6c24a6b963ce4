package api

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// crowd registers n instances with about 2 KiB of labels each.
func crowd(w *world, n int) {
	for from := 0; from < n; from += wire.MaxRegistrations {
		var list []*pb.Registration
		for i := from; i < min(n, from+wire.MaxRegistrations); i++ {
			r := instance(fmt.Sprintf("pay/%06d", i))
			r.Labels = map[string]string{}
			for l := range 20 {
				r.Labels[fmt.Sprintf("label-%02d", l)] = long(90)
			}
			list = append(list, r)
		}
		w.registered(list...)
	}
}

// A stream whose client leaves no room for a message for 30 s ends with an error.
func TestStuckWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.MaxWatchersPerPeer = 2 })
		crowd(w, 500)
		p := newRawPeer(t, w.listener.dialFrom(home))
		stuck := p.call(pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{})
		synctest.Wait()
		if n := w.server.Watchers(); n != 1 {
			t.Fatalf("%d watchers", n)
		}
		time.Sleep(wire.SendTimeout - time.Second)
		if n := w.server.Watchers(); n != 1 {
			t.Errorf("%d watchers after 29 s", n)
		}
		time.Sleep(2 * time.Second)
		if n := w.server.Watchers(); n != 0 {
			t.Errorf("%d watchers after 31 s", n)
		}
		// gRPC keeps the unread messages, and the stream keeps its place.
		w.watch(&pb.WatchRequest{Names: []string{"pay"}}).entries()
		err := w.call(home, insecure.NewCredentials()).send(&pb.WatchRequest{})
		wantCode(t, err, codes.ResourceExhausted, wire.ReasonLimit)
		p.room(stuck, 1<<20)
		synctest.Wait()
		if got := p.ended(stuck, "grpc-message"); p.ended(stuck, "grpc-status") != fmt.Sprint(uint32(codes.ResourceExhausted)) || !strings.Contains(got, "30s") {
			t.Errorf("it ended with %q (%s)", got, p.ended(stuck, "grpc-status"))
		}
		p.close()
		synctest.Wait()
		w.watch(&pb.WatchRequest{Names: []string{"pay"}}).entries()
	})
}

// A client that reads slowly is not cut: the limit of 30 s is for each message.
func TestSlowWatchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		crowd(w, 500)
		p := newRawPeer(t, w.listener.dialFrom(home))
		slow := p.call(pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{})
		for range 20 {
			time.Sleep(wire.SendTimeout - time.Second)
			p.room(slow, wire.ChunkBytes+1024)
			synctest.Wait()
		}
		if n := w.server.Watchers(); n != 1 || p.bytes[slow] < 20*wire.ChunkBytes {
			t.Errorf("%d watchers; it has got %d bytes, and ended with %q", n, p.bytes[slow], p.ended(slow, "grpc-message"))
		}
	})
}

// Each of 5,000 watchers that never read their snapshot costs at most 128 KiB more than an
// idle watcher.
func TestMemoryOfStuckWatchers(t *testing.T) {
	if racing {
		t.Skip("the race detector has memory of its own for each allocation")
	}
	const watchers = 5000
	per := func(req *pb.WatchRequest) (bytes int) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(s *setup) { s.MaxWatchersPerPeer = watchers })
			crowd(w, 1000)
			before := inUse()
			var peers []*rawPeer
			for i := range watchers {
				if i%wire.MaxStreams == 0 {
					peers = append(peers, newRawPeer(t, w.listener.dialFrom(home)))
				}
				peers[len(peers)-1].call(pb.HealthService_Watch_FullMethodName, req)
			}
			synctest.Wait()
			if n := w.server.Watchers(); n != watchers {
				t.Fatalf("%d watchers", n)
			}
			bytes = (inUse() - before) / watchers
		})
		return bytes
	}
	idle, stuck := per(&pb.WatchRequest{Names: []string{"nobody"}}), per(&pb.WatchRequest{})
	t.Logf("an idle Watch takes %d KiB, one that never reads %d KiB", idle>>10, stuck>>10)
	if stuck-idle > 128<<10 {
		t.Errorf("one that never reads takes %d KiB more than an idle one; allowed: 128", (stuck-idle)>>10)
	}
}

// inUse returns the bytes of heap and stacks in use.
func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
