package grpchealth

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// keeper is a stream that keeps each message and its bytes at the time of the send. Tracing
// libraries and stats handlers keep messages, too.
type keeper[M any] struct {
	grpc.ServerStreamingServer[M]
	ctx context.Context

	mu   sync.Mutex
	kept []proto.Message
	was  [][]byte
}

func (k *keeper[M]) Context() context.Context { return k.ctx }

func (k *keeper[M]) Send(m *M) error {
	message := any(m).(proto.Message)
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept, k.was = append(k.kept, message), append(k.was, raw)
	return err
}

// changed returns the number of messages, and how many of them changed after the send.
func (k *keeper[M]) changed(t *testing.T) (all, changed int) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, m := range k.kept {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil || !bytes.Equal(raw, k.was[i]) {
			changed++
		}
	}
	return len(k.kept), changed
}

// TestMessagesAreNotChanged: a message does not change after it was sent, also not in a
// snapshot of many chunks.
func TestMessagesAreNotChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		reason := strings.Repeat("x", 900)
		state := func(i int, s health.Status) health.State {
			one := is(fmt.Sprintf("pay/%04d", i), s)
			one.Spec = &health.Spec{Labels: map[string]string{"env": reason[:200]}, Version: reason[:100]}
			return one
		}
		for i := range 2000 {
			w.publish(state(i, health.Serving))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var keepers []*keeper[pb.WatchResponse]
		var done sync.WaitGroup
		for _, req := range []*pb.WatchRequest{{}, {Selector: &pb.Selector{Services: []string{"pay"}}}, {Names: []string{"pay/0001", "pay/0002", "nobody"}}} {
			k := &keeper[pb.WatchResponse]{ctx: ctx}
			keepers = append(keepers, k)
			done.Go(func() { _ = extended{h: w.handlers}.Watch(req, k) })
		}
		synctest.Wait()
		for round := range 20 {
			for i := range 50 {
				w.publish(state(round*50+i, health.NotServing), state(i, health.Status(1+round%2)))
			}
			synctest.Wait()
		}
		cancel()
		done.Wait()
		for i, k := range keepers {
			all, changed := k.changed(t)
			if changed > 0 || all < 10 {
				t.Errorf("Watch %d: %d of %d messages are not what was sent", i, changed, all)
			}
		}
	})
}

// TestResumeWithinARevision: a token between two entries of one revision loses neither of
// them.
func TestResumeWithinARevision(t *testing.T) {
	w := newWorld(t, Config{Self: health.ID{Service: "self"}})
	big := func(name string) health.Change {
		s := is(name, health.Serving)
		s.Revision = 1
		for i := range 700 {
			s.Checks = append(s.Checks, health.CheckState{Name: fmt.Sprintf("%s-%0200d", name, i)})
		}
		return health.Change{State: s, Epoch: 77}
	}
	w.feed.Publish([]health.Change{big("a"), big("b")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := w.mesh.Watch(ctx, &pb.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	snapshot := 0
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if snapshot += len(m.GetEntries()); m.GetSnapshotEnd() {
			break
		}
	}
	if snapshot != 2 {
		t.Fatalf("%d entries in the snapshot", snapshot)
	}
	a, b := big("a"), big("b")
	a.Revision, b.Revision = 2, 2
	w.feed.Publish([]health.Change{a, b})
	m, err := stream.Recv()
	if err != nil || len(m.GetEntries()) != 1 || m.GetEntries()[0].GetService() != "a" {
		t.Fatalf("%d entries, %v; want the first one", len(m.GetEntries()), err)
	}
	again, err := w.mesh.Watch(ctx, &pb.WatchRequest{ResumeToken: m.GetResumeToken()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 2 {
		m, err := again.Recv()
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		for _, e := range m.GetEntries() {
			got = append(got, e.GetService())
		}
	}
	if got[0] != "a" || got[1] != "b" {
		t.Errorf("resumed with %q", got)
	}
}
