package grpchealth

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// measured is a mesh whose instances have figures. It counts how often they are asked for.
type measured struct {
	*world
	runs  map[health.ID]uint64
	asked int
}

func newMeasured(t *testing.T, cfg Config) *measured {
	m := &measured{runs: map[health.ID]uint64{}}
	cfg.Figures = func(id health.ID) *health.Metrics {
		m.asked++
		if m.runs[id] == 0 {
			return nil
		}
		return &health.Metrics{Runs: m.runs[id], ResponseTimeP50: time.Millisecond, Gauges: map[string]float64{"queue": 2}}
	}
	m.world = newWorld(t, cfg)
	m.publish(is("self", health.Serving), labelled("pay/1", "prod"), labelled("pay/2", "test"), labelled("hidden/1", "prod"), labelled("open/1", "prod"))
	for _, name := range []string{"pay/1", "pay/2", "hidden/1", "open/1"} {
		m.runs[health.ParseID(name)] = 1
	}
	return m
}

func every(seconds int) *durationpb.Duration {
	return durationpb.New(time.Duration(seconds) * time.Second)
}

// told returns the figures of the messages since the last call, and the number of messages without.
func (m *measured) told(in *inbox[*pb.WatchResponse]) (figures string, others int) {
	var all []string
	for _, message := range in.received() {
		if len(message.GetFigures()) == 0 {
			others++
			continue
		}
		if len(message.GetEntries()) > 0 || message.GetEpoch() != 77 || message.GetRevision() != m.shownRevision() || message.GetAt() == nil {
			m.t.Errorf("%v", message)
		}
		for _, f := range message.GetFigures() {
			if f.GetMetrics().GetResponseTimeP50().AsDuration() != time.Millisecond || f.GetMetrics().GetGauges()["queue"] != 2 {
				m.t.Errorf("%v", f)
			}
			all = append(all, fmt.Sprintf("%s/%s=%d", f.GetService(), f.GetInstance(), f.GetMetrics().GetRuns()))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " "), others
}

// wants fails the test unless the messages since the last call have these figures, and so many
// messages have none.
func (m *measured) wants(what string, in *inbox[*pb.WatchResponse], figures string, others int) {
	m.t.Helper()
	if got, n := m.told(in); got != figures || n != others {
		m.t.Errorf("%s: %q and %d other messages, want %q and %d", what, got, n, figures, others)
	}
}

// TestFigures: a stream gets all figures first, and then those that have changed, of what it selects
// and may read. Figures are collected once for all streams.
func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasured(t, Config{Rights: byName, StandardRights: byName})
		all := m.watch(t, &pb.WatchRequest{FiguresEvery: every(1), Heartbeat: every(60)})
		some := m.watch(t, &pb.WatchRequest{FiguresEvery: every(1), Heartbeat: every(60), Selector: &pb.Selector{Labels: map[string]string{"env": "test"}}})
		one := m.watch(t, &pb.WatchRequest{FiguresEvery: every(1), Heartbeat: every(60), Names: []string{"pay/1", "open/1"}})
		none := m.watch(t, &pb.WatchRequest{Heartbeat: every(60)})
		for _, in := range []*inbox[*pb.WatchResponse]{all, some, one, none} {
			m.wants("the snapshot", in, "", 1)
		}
		if m.asked != 0 {
			t.Errorf("%d figures were collected before they were due", m.asked)
		}
		m.feed.Beat()
		m.wants("all", all, "open/1=1 pay/1=1 pay/2=1", 0)
		m.wants("a label", some, "pay/2=1", 0)
		m.wants("names", one, "open/1=1 pay/1=1", 0)
		m.wants("without figures", none, "", 0)
		if want := m.feed.Len(); m.asked != want {
			t.Errorf("%d figures were asked for, want %d: once for all streams", m.asked, want)
		}
		m.feed.Beat()
		m.wants("nothing has changed", all, "", 0)
		m.runs[health.ParseID("pay/2")] = 5
		m.runs[health.ParseID("hidden/1")] = 5
		m.feed.Beat()
		m.wants("one has changed", all, "pay/2=5", 0)
		m.wants("one has changed, a label", some, "pay/2=5", 0)
		m.wants("one has changed, names", one, "", 0)
		m.publish(gone("pay/2"))
		m.wants("the removal", all, "", 1)
		m.wants("the removal, without figures", none, "", 1)
		m.runs[health.ParseID("pay/2")] = 6
		m.feed.Beat()
		m.wants("the removed one has no figures", all, "", 0)
		for _, in := range []*inbox[*pb.WatchResponse]{all, some, one} {
			in.cancel()
		}
		synctest.Wait()
		before := m.asked
		m.feed.Beat()
		m.wants("without a subscriber", none, "", 0)
		if m.asked != before {
			t.Error("figures are collected although nobody subscribes")
		}
	})
}

// TestFiguresAreCollectedOnce: many streams at once cause one collection, for which no lock is held. A
// collection that fails is made by another stream.
func TestFiguresAreCollectedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasured(t, Config{})
		var f figures
		asked, fails := 0, true
		metricsOf := func(*feed.Entry) *health.Metrics {
			if !f.mu.TryLock() {
				t.Error("the lock is held while the owner is asked")
			} else {
				f.mu.Unlock()
			}
			time.Sleep(time.Second) // the others wait meanwhile
			if asked++; fails {
				fails = false
				panic("the owner fails")
			}
			return &health.Metrics{Runs: 1}
		}
		var streams sync.WaitGroup
		failed := 0
		for range 20 {
			streams.Go(func() {
				defer func() {
					if recover() != nil {
						failed++
					}
				}()
				if c := f.collect(m.feed.Cut(), 1, metricsOf); c.number != 1 || len(c.all) != m.feed.Len() {
					t.Errorf("collection %d of %d figures", c.number, len(c.all))
				}
			})
		}
		streams.Wait()
		if want := 1 + m.feed.Len(); asked != want || failed != 1 {
			t.Errorf("asked %d times, want %d; %d failed", asked, want, failed)
		}
	})
}

// TestFiguresInBothFormats: a stream in JSON sends the same figures as one in protobuf.
func TestFiguresInBothFormats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasured(t, Config{})
		req := &pb.WatchRequest{FiguresEvery: every(1), Heartbeat: every(60)}
		asProtobuf, asJSON := m.watchAs(t, feed.Protobuf, req), m.watchAs(t, feed.JSON, req)
		synctest.Wait()
		asProtobuf.taken(t)
		asJSON.taken(t)
		for round := range 3 {
			m.runs[health.ParseID("pay/2")]++
			m.feed.Beat()
			synctest.Wait()
			want, got := asProtobuf.taken(t), asJSON.taken(t)
			if len(want.GetFigures()) == 0 || !proto.Equal(got, want) {
				t.Errorf("round %d: JSON says\n%v\nprotobuf says\n%v", round, got, want)
			}
		}
	})
}

// TestFiguresPace: figures come at most as often as asked for. A message with figures takes the place
// of a heartbeat.
func TestFiguresPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasured(t, Config{})
		in := m.watch(t, &pb.WatchRequest{FiguresEvery: every(3), Heartbeat: every(3), Names: []string{"pay/1"}})
		in.one()
		var got []string
		for beat := 1; beat <= 12; beat++ {
			m.runs[health.ParseID("pay/1")]++
			m.feed.Beat()
			if figures, others := m.told(in); figures != "" || others > 0 {
				got = append(got, fmt.Sprintf("%d: %s %d", beat, figures, others))
			}
		}
		if want := "1: pay/1=2 0, 3:  1, 6: pay/1=7 0, 9: pay/1=10 0, 12: pay/1=13 0"; strings.Join(got, ", ") != want {
			t.Errorf("%q, want %q", strings.Join(got, ", "), want)
		}
	})
}

// TestFiguresOfResumedStream: a resumed stream starts with all figures.
func TestFiguresOfResumedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasured(t, Config{})
		req := &pb.WatchRequest{FiguresEvery: every(1), Heartbeat: every(60), Selector: &pb.Selector{Services: []string{"pay"}}}
		in := m.watch(t, req)
		in.one()
		m.feed.Beat()
		req.ResumeToken = in.one().GetResumeToken()
		in.cancel()
		in = m.watch(t, req)
		in.none()
		m.feed.Beat()
		m.wants("resumed", in, "pay/1=1 pay/2=1", 0)
	})
}

// TestFiguresAreBounded: the figures of many instances come in several messages.
func TestFiguresAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasured(t, Config{})
		const n = 2000
		var states []health.State
		for i := range n {
			s := is(fmt.Sprintf("many/instance-%d", i), health.Serving)
			m.runs[s.ID] = 1
			states = append(states, s)
		}
		m.publish(states...)
		in := m.watch(t, &pb.WatchRequest{FiguresEvery: every(1), Heartbeat: every(60), Selector: &pb.Selector{Services: []string{"many"}}})
		in.received()
		m.feed.Beat()
		seen := map[string]bool{}
		messages := in.received()
		for _, message := range messages {
			if size := proto.Size(message); size > wire.ChunkBytes+256 {
				t.Errorf("a message of %d bytes", size)
			}
			for _, f := range message.GetFigures() {
				seen[f.GetInstance()] = true
			}
		}
		if len(seen) != n || len(messages) < 5 {
			t.Errorf("figures of %d instances in %d messages", len(seen), len(messages))
		}
	})
}

// TestFiguresInCheckAndList: Check and List have the newest figures.
func TestFiguresInCheckAndList(t *testing.T) {
	m := newMeasured(t, Config{})
	m.runs[health.ParseID("pay/1")] = 9
	c, err := m.mesh.Check(t.Context(), &pb.CheckRequest{Service: "pay/1"})
	if err != nil || c.GetHealth().GetMetrics().GetRuns() != 9 {
		t.Errorf("Check: %v, %v", c, err)
	}
	l, err := m.mesh.List(t.Context(), &pb.ListRequest{Selector: &pb.Selector{Services: []string{"pay"}}})
	if err != nil || len(l.GetEntries()) != 2 || l.GetEntries()[0].GetMetrics().GetRuns() != 9 {
		t.Errorf("List: %v, %v", l, err)
	}
	stream, err := m.mesh.Watch(t.Context(), &pb.WatchRequest{FiguresEvery: durationpb.New(time.Millisecond)})
	if err == nil {
		_, err = stream.Recv()
	}
	wantCode(t, err, codes.InvalidArgument)
}
