package client

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// seen has the updates that a loop over a Watch has received.
type seen struct {
	mu      sync.Mutex
	updates []Update
	err     error
	over    bool
	stop    context.CancelFunc
}

// watching runs a loop over a Watch until the test ends.
func watching(t *testing.T, c *Client, o WatchOptions) *seen {
	t.Helper()
	s := &seen{}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	var wg sync.WaitGroup
	wg.Go(func() {
		for u, err := range c.Watch(ctx, o) {
			s.take(u, err)
		}
		s.do(func() { s.over = true })
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	synctest.Wait()
	return s
}

func (s *seen) take(u Update, err error) {
	s.do(func() {
		if err != nil {
			s.err = err
			return
		}
		s.updates = append(s.updates, u)
	})
}

func (s *seen) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// all returns the updates of a kind so far.
func (s *seen) all(is func(Update) bool) []Update {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.updates), func(u Update) bool { return !is(u) })
}

func (s *seen) ended() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over, s.err
}

// told lists the received entries in order: "payments SERVING".
func (s *seen) told() []string {
	var list []string
	for _, u := range s.all(func(Update) bool { return true }) {
		for _, e := range u.Entries {
			list = append(list, said(e))
		}
	}
	return list
}

func said(e *Entry) string {
	if e.Unregistered {
		return e.ID.String() + " SERVICE_UNKNOWN"
	}
	return e.ID.String() + " " + e.Status.String()
}

func stale(u Update) bool     { return u.Stale }
func gap(u Update) bool       { return u.Gap }
func snapshot(u Update) bool  { return u.Snapshot }
func heartbeat(u Update) bool { return u.Heartbeat }

// scripted is a HealthService whose Watch the test implements.
type scripted struct {
	pb.UnimplementedHealthServiceServer
	// watch is called with the number of the stream, from 0.
	watch func(n int, stream watchStream) error

	mu       sync.Mutex
	requests []*pb.WatchRequest
}

type watchStream = grpc.ServerStreamingServer[pb.WatchResponse]

func (w *world) script(watch func(n int, stream watchStream) error) *scripted {
	s := &scripted{watch: watch}
	w.health = func(r grpc.ServiceRegistrar) { pb.RegisterHealthServiceServer(r, s) }
	return s
}

func (s *scripted) Watch(req *pb.WatchRequest, stream watchStream) error {
	s.mu.Lock()
	n := len(s.requests)
	s.requests = append(s.requests, req)
	s.mu.Unlock()
	return s.watch(n, stream)
}

func (s *scripted) came() []*pb.WatchRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// cutter ends streams of a real server.
type cutter struct {
	grpc.ServerStream
	left int
	by   error
	note func(*pb.WatchResponse)
}

// SendMsg fails after this number of messages.
func (c *cutter) SendMsg(m any) error {
	if c.left == 0 {
		return c.by
	}
	c.left--
	if c.note != nil {
		c.note(m.(*pb.WatchResponse))
	}
	return c.ServerStream.SendMsg(m)
}

// hold keeps a stream open without a message.
func hold(stream watchStream) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}
