package grpchealth

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
)

// captured is the server side of a Watch. It decodes each message as a client would, in either
// format.
type captured struct {
	grpc.ServerStream
	ctx context.Context

	mu   sync.Mutex
	all  []*pb.WatchResponse
	text []byte
	err  error
}

func (c *captured) Context() context.Context { return c.ctx }

func (c *captured) Send(m *pb.WatchResponse) error {
	b, err := proto.Marshal(m)
	got := &pb.WatchResponse{}
	if err == nil {
		err = proto.Unmarshal(b, got)
	}
	return c.add(got, b, err)
}

func (c *captured) SendMsg(m any) error {
	b := m.(interface{ AppendJSON([]byte) []byte }).AppendJSON(nil)
	got := &pb.WatchResponse{}
	return c.add(got, b, protojson.Unmarshal(b, got))
}

func (c *captured) add(m *pb.WatchResponse, b []byte, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.text = append(c.all, m), append(c.text, b...)
	if err != nil {
		c.err = fmt.Errorf("%q: %w", b, err)
	}
	return nil
}

// taken returns one message with the entries of all messages since the last call, and the fields of
// the last one.
func (c *captured) taken(t *testing.T) *pb.WatchResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		t.Fatal(c.err)
	}
	sum := &pb.WatchResponse{}
	for _, m := range c.all {
		entries := append(sum.GetEntries(), m.GetEntries()...)
		sum, m.Entries = m, entries
	}
	c.all = nil
	return sum
}

// watchAs runs a Watch in a format until the test ends.
func (w *world) watchAs(t *testing.T, format feed.Format, req *pb.WatchRequest) *captured {
	ctx, cancel := context.WithCancel(t.Context())
	c, done := &captured{ctx: ctx}, make(chan struct{})
	go func() { defer close(done); _ = w.handlers.Service(format).Watch(req, c) }()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

// varied returns a state with random fields, some of them with texts that JSON must escape.
func varied(r *rand.Rand) health.State {
	text := func() string {
		return []string{"", "plain", `"quoted" \ back`, "tab\tline\n", "<b>&'", "äöü 世界 \u2028", "}],{"}[r.IntN(7)]
	}
	when := func() (at time.Time) {
		if r.IntN(3) > 0 {
			at = time.Now().Add(-time.Duration(r.Int64N(int64(time.Hour))))
		}
		return at
	}
	s := health.State{
		ID:     health.ID{Service: fmt.Sprintf("s%d", r.IntN(8)), Instance: []string{"", "a", "b", "@z"}[r.IntN(4)]},
		Status: health.Status(r.IntN(7)), Cause: health.Cause(r.IntN(5)), Reason: text(), Since: when(), FirstFailure: when(),
		Unconfirmed: r.IntN(2) == 0, Root: text(), Affected: r.IntN(3), NextAt: when(), Removed: r.IntN(8) == 0,
	}
	if s.ID.Instance == "" {
		s.Counts = &health.Counts{Counted: r.IntN(9), Unconfirmed: r.IntN(2)}
		return s
	}
	s.Spec = &health.Spec{
		Address: "10.0.0.1:80", Labels: map[string]string{"team": text(), "tier": "x"}, Zone: "z", Version: text(), Static: r.IntN(2) == 0,
	}
	s.Metrics = &health.Metrics{Runs: r.Uint64(), ResponseTimeP50: time.Duration(r.IntN(1e9)), Gauges: map[string]float64{"load": r.NormFloat64()}}
	s.Checks = []health.CheckState{{Name: text(), Status: health.Degraded, Reason: text(), LastRun: when(), HasValue: true, Value: r.Float64(), Unit: "ms"}}
	return s
}

// TestFormatsSayTheSame: Watches in JSON send the same as Watches in protobuf, for each kind of
// request and each level of detail.
func TestFormatsSayTheSame(t *testing.T) {
	for _, req := range []*pb.WatchRequest{
		{},
		{Names: []string{"s1", "s2/a", "none"}},
		{Selector: &pb.Selector{Services: []string{"s1", "s3"}}},
		{Selector: &pb.Selector{Labels: map[string]string{"team": "plain"}}},
		{Selector: &pb.Selector{AggregatesOnly: true}},
	} {
		for _, trusted := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{Build: `v"1`, Rights: showReasons(func(context.Context) bool { return trusted })})
				r := rand.New(rand.NewPCG(1, 2))
				for range 40 {
					w.publish(varied(r))
				}
				asProtobuf, asJSON := w.watchAs(t, feed.Protobuf, req), w.watchAs(t, feed.JSON, req)
				for round := range 200 {
					synctest.Wait()
					want, got := asProtobuf.taken(t), asJSON.taken(t)
					if !proto.Equal(got, want) {
						t.Fatalf("trusted %v, %v, round %d: JSON says\n%v\nprotobuf says\n%v", trusted, req, round, got, want)
					}
					if round%10 == 9 {
						w.feed.Beat()   // heartbeats
						synctest.Wait() // else some watchers get the changes first, and some the heartbeat
					}
					states := make([]health.State, 1+r.IntN(60)*r.IntN(2))
					for i := range states {
						states[i] = varied(r)
					}
					w.publish(states...)
				}
			})
		}
	}
}

// TestJSONMessage: a message in JSON has all fields of a WatchResponse, also those that are added later.
func TestJSONMessage(t *testing.T) {
	full := &pb.WatchResponse{
		Epoch: 1 << 63, Revision: 3, ResumeToken: "t", Snapshot: true, SnapshotEnd: true, Gap: true, Build: "<v>", At: timestamppb.Now(),
		Entries: []*pb.Health{{Service: "pay"}, {Service: "db"}},
		Figures: []*pb.Figures{{Service: "pay", Metrics: &pb.Metrics{Runs: 1}}, {Service: "db"}},
	}
	fields := full.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if !full.ProtoReflect().Has(fields.Get(i)) {
			t.Errorf("this test sets no %s", fields.Get(i).Name())
		}
	}
	// A message has entries or figures, and never both.
	var entries, elements []byte
	for _, h := range full.GetEntries() {
		entries = append(entries, encodeHealth(feed.JSON, h)...)
	}
	for _, f := range full.GetFigures() {
		elements = append(elements, encodeJSON(f)...)
	}
	response, got := proto.CloneOf(full), &pb.WatchResponse{}
	response.Entries, response.Figures = nil, nil
	withEntries, withFigures := proto.CloneOf(full), proto.CloneOf(full)
	withEntries.Figures, withFigures.Entries = nil, nil
	for _, message := range []struct {
		jsonMessage
		want *pb.WatchResponse
	}{{jsonMessage{response, entriesName, entries}, withEntries}, {jsonMessage{response, figuresName, elements}, withFigures}} {
		text := message.AppendJSON(nil)
		if err := protojson.Unmarshal(text, got); err != nil || !proto.Equal(got, message.want) {
			t.Errorf("%s is read as %v, %v", text, got, err)
		}
	}
	empty := jsonMessage{&pb.WatchResponse{At: timestamppb.Now()}, figuresName, nil}.AppendJSON(nil)
	if err := protojson.Unmarshal(empty, got); err != nil {
		t.Errorf("%s: %v", empty, err)
	}
}

// TestEncodedOnce: many watchers of a batch cause one encoding of each entry and of the batch, for each
// audience and format that they have.
func TestEncodedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Rights: showReasons(func(ctx context.Context) bool { return ctx.Value(fullKey{}) != nil })})
		w.publish(is("pay", health.Serving))
		for i := range 50 {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = context.WithValue(ctx, fullKey{}, true)
			}
			ctx, cancel := context.WithCancel(ctx)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = w.handlers.Service(feed.JSON).Watch(&pb.WatchRequest{}, &captured{ctx: ctx})
			}()
			t.Cleanup(func() { cancel(); <-done })
		}
		synctest.Wait()
		b := w.publish(is("pay", health.Degraded), is("pay/a", health.Degraded))
		synctest.Wait()
		for _, shown := range []access.Shown{access.StatusShown, access.EvidenceShown} {
			for _, e := range b.Entries {
				first := encodedEntry(e, feed.JSON, shown)
				if again := e.Encoded(encodingOf(feed.JSON, shown), func(*feed.Entry) []byte { t.Error("the entry was not encoded"); return nil }); &first[0] != &again[0] {
					t.Error("the entry was encoded again")
				}
			}
			b.Encoded(encodingOf(feed.JSON, shown), func(*feed.Batch) []byte { t.Error("the batch was not encoded"); return nil })
			b.Encoded(encodingOf(feed.Protobuf, shown), func(*feed.Batch) []byte { return nil }) // nobody needs it
		}
	})
}

type fullKey struct{}

// TestAudiencesInJSON: a watcher who may not see reasons gets none, also if others get the same batch
// with reasons first.
func TestAudiencesInJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Rights: showReasons(func(ctx context.Context) bool { return ctx.Value(fullKey{}) != nil })})
		ctx, cancel := context.WithCancel(t.Context())
		full, public := &captured{ctx: context.WithValue(ctx, fullKey{}, true)}, &captured{ctx: ctx}
		var wg sync.WaitGroup
		for _, c := range []*captured{full, public} {
			wg.Go(func() { _ = w.handlers.Service(feed.JSON).Watch(&pb.WatchRequest{}, c) })
		}
		for range 20 {
			s := is("pay/a", health.Degraded)
			s.Reason = "the secret disk"
			w.publish(s)
			synctest.Wait()
		}
		cancel()
		wg.Wait()
		if n := count(full.text, "secret"); n < 20 {
			t.Errorf("the trusted watcher gets %d reasons", n)
		}
		if n := count(public.text, "secret"); n != 0 {
			t.Errorf("the other watcher gets %d reasons", n)
		}
	})
}

func count(text []byte, word string) int { return bytes.Count(text, []byte(word)) }
