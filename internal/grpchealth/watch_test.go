package grpchealth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// lines formats the entries of a message, sorted.
func lines(m *pb.WatchResponse) []string {
	var all []string
	for _, e := range m.GetEntries() {
		line := health.ID{Service: e.GetService(), Instance: e.GetInstance()}.String() + " " +
			strings.TrimPrefix(e.GetStatus().String(), "STATUS_")
		if e.GetRemoved() {
			line += " removed"
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}

func wantLines(t *testing.T, m *pb.WatchResponse, want ...string) {
	t.Helper()
	if got := lines(m); !slices.Equal(got, want) {
		t.Errorf("entries %q, want %q", got, want)
	}
}

func TestWatchSendsASnapshotThenChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Build: "v9"})
		w.publish(is("pay", health.Serving), is("pay/1", health.Serving))
		in := w.watch(t, &pb.WatchRequest{})
		m := in.one()
		wantLines(t, m, "pay SERVING", "pay/1 SERVING")
		if !m.GetSnapshot() || !m.GetSnapshotEnd() || m.GetGap() || m.GetRevision() != 2 || m.GetEpoch() != 77 ||
			m.GetResumeToken() == "" || m.GetBuild() != "v9" || m.GetAt() == nil {
			t.Errorf("the snapshot: %v", m)
		}
		w.publish(is("pay", health.NotServing), is("pay/1", health.NotServing))
		m = in.one()
		wantLines(t, m, "pay NOT_SERVING", "pay/1 NOT_SERVING")
		if m.GetSnapshot() || m.GetSnapshotEnd() || m.GetRevision() != 4 || m.GetBuild() != "" {
			t.Errorf("the change: %v", m)
		}
		w.publish(gone("pay/1"))
		wantLines(t, in.one(), "pay/1 SERVICE_UNKNOWN removed")
	})
}

func TestWatchOfNothingHasAnEmptySnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newWorld(t, Config{}).watch(t, &pb.WatchRequest{}).one()
		if len(m.GetEntries()) != 0 || !m.GetSnapshot() || !m.GetSnapshotEnd() {
			t.Errorf("%v", m)
		}
	})
}

func TestWatchByNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("self", health.Serving), is("pay", health.Serving), is("pay/1", health.Serving), is("shop", health.Serving))
		in := w.watch(t, &pb.WatchRequest{Names: []string{"pay/1", "", "ship", "*"}})
		wantLines(t, in.one(), "* SERVICE_UNKNOWN", "pay/1 SERVING", "self SERVING", "ship SERVICE_UNKNOWN")
		w.publish(is("pay", health.NotServing), is("shop", health.NotServing))
		in.none()
		w.publish(is("ship", health.Starting), is("ship/1", health.Starting), is("self", health.Degraded))
		wantLines(t, in.one(), "self DEGRADED", "ship STARTING")
		w.publish(gone("ship"))
		wantLines(t, in.one(), "ship SERVICE_UNKNOWN removed")
	})
}

func TestWatchByServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("self", health.Serving), is("pay", health.Serving), is("pay/1", health.Serving), is("shop", health.Serving))
		in := w.watch(t, &pb.WatchRequest{Selector: &pb.Selector{Services: []string{"pay", ""}}})
		wantLines(t, in.one(), "pay SERVING", "pay/1 SERVING", "self SERVING")
		aggregates := w.watch(t, &pb.WatchRequest{Selector: &pb.Selector{AggregatesOnly: true}})
		wantLines(t, aggregates.one(), "pay SERVING", "self SERVING", "shop SERVING")
		w.publish(is("pay/2", health.Serving), is("shop", health.NotServing))
		wantLines(t, in.one(), "pay/2 SERVING")
		wantLines(t, aggregates.one(), "shop NOT_SERVING")
	})
}

func TestWatchByLabelsSaysWhatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("pay", health.Serving), labelled("pay/1", "prod"), labelled("pay/2", "test"))
		in := w.watch(t, &pb.WatchRequest{Selector: &pb.Selector{Labels: map[string]string{"env": "prod"}}})
		m := in.one()
		wantLines(t, m, "pay/1 SERVING")
		w.publish(labelled("pay/1", "test"))
		left := in.one()
		wantLines(t, left, "pay/1 UNKNOWN removed")
		w.publish(labelled("pay/1", "other"), labelled("pay/2", "other")) // the first was removed already, the second was never sent
		in.none()
		w.publish(labelled("pay/2", "prod"))
		wantLines(t, in.one(), "pay/2 SERVING")

		// After a resume the server does not know what was sent, so it sends a removal that may be redundant.
		again := w.watch(t, &pb.WatchRequest{
			Selector: &pb.Selector{Labels: map[string]string{"env": "prod"}}, ResumeToken: m.GetResumeToken(),
		})
		wantLines(t, again.one(), "pay/1 UNKNOWN removed", "pay/2 SERVING")
	})
}

// TestWatchBySource: a Watch of one source takes no change from a Watch of everything beside it. It says
// which instances no longer have the source.
func TestWatchBySource(t *testing.T) {
	from := func(name, source string, status health.Status) health.State {
		s := is(name, status)
		s.Spec = &health.Spec{Static: true, Source: source}
		return s
	}
	for _, format := range []feed.Format{feed.Protobuf, feed.JSON} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.publish(is("pay", health.Serving), from("pay/1", "kube", health.Serving), from("pay/2", "", health.Serving))
			everything := w.watchAs(t, format, &pb.WatchRequest{})
			one := w.watchAs(t, format, &pb.WatchRequest{Selector: &pb.Selector{Source: "kube"}})
			synctest.Wait()
			wantLines(t, everything.taken(t), "pay SERVING", "pay/1 SERVING", "pay/2 SERVING")
			wantLines(t, one.taken(t), "pay/1 SERVING")
			for range 10 {
				w.publish(is("pay", health.Degraded), from("pay/1", "kube", health.Degraded), from("pay/2", "", health.Degraded))
				synctest.Wait()
				wantLines(t, everything.taken(t), "pay DEGRADED", "pay/1 DEGRADED", "pay/2 DEGRADED")
				wantLines(t, one.taken(t), "pay/1 DEGRADED")
			}
			w.publish(from("pay/1", "other", health.Degraded))
			synctest.Wait()
			wantLines(t, one.taken(t), "pay/1 UNKNOWN removed")
		})
	}
}

func TestWatchByLabelsForgetsWhatIsRemoved(t *testing.T) {
	w := &wire.Watch{Selector: wire.Selector{Labels: map[string]string{"env": "prod"}}}
	v := newView(w, access.ReadStatus, feed.Protobuf)
	world := newWorld(t, Config{})
	for i := range 1000 {
		s := labelled(fmt.Sprintf("pay/%d", i), "prod")
		for _, e := range world.publish(s).Entries {
			v.fragment(e)
		}
		s.Removed = true
		for _, e := range world.publish(s).Entries {
			if v.fragment(e) == nil {
				t.Fatal("the removal was not sent")
			}
		}
	}
	if len(v.sent) != 0 {
		t.Errorf("%d names that are gone are remembered", len(v.sent))
	}
}

func TestWatchInChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		const n = 2000
		states := make([]health.State, n)
		for i := range states {
			states[i] = labelled(fmt.Sprintf("pay/%04d-%s", i, strings.Repeat("x", 200)), "prod")
		}
		w.publish(states...)
		in := w.watch(t, &pb.WatchRequest{})
		messages := in.received()
		if got := countChunks(t, messages, true); got != n {
			t.Errorf("%d entries in the snapshot, want %d", got, n)
		}
		w.publish(states...)
		messages = in.received()
		if got := countChunks(t, messages, false); got != n {
			t.Errorf("%d entries in the batch, want %d", got, n)
		}
		// A client can resume from a chunk of changes, and receives the rest.
		half := messages[len(messages)/2]
		rest := w.watch(t, &pb.WatchRequest{ResumeToken: half.GetResumeToken()}).received()
		if rest[0].GetSnapshot() || rest[0].GetGap() {
			t.Errorf("resumed: %v", rest[0])
		}
	})
}

// countChunks checks the snapshot marks of several messages and counts their entries.
func countChunks(t *testing.T, messages []*pb.WatchResponse, snapshot bool) (entries int) {
	t.Helper()
	if len(messages) < 3 {
		t.Fatalf("%d messages, want several", len(messages))
	}
	for i, m := range messages {
		last := i == len(messages)-1
		entries += len(m.GetEntries())
		if m.GetSnapshot() != snapshot || m.GetSnapshotEnd() != (snapshot && last) {
			t.Errorf("message %d of %d: snapshot %v, end %v", i, len(messages), m.GetSnapshot(), m.GetSnapshotEnd())
		}
		if hasToken := m.GetResumeToken() != ""; hasToken != (!snapshot || last) {
			t.Errorf("message %d of %d: a token: %v", i, len(messages), hasToken)
		}
		if size := proto.Size(m); size > wire.ChunkBytes+2048 {
			t.Errorf("message %d has %d bytes", i, size)
		}
	}
	return entries
}

func TestWatchResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("pay", health.Serving), is("shop", health.Serving))
		in := w.watch(t, &pb.WatchRequest{})
		token := in.one().GetResumeToken()
		in.cancel()
		w.publish(is("pay", health.NotServing))
		w.publish(is("pay", health.Degraded))
		m := w.watch(t, &pb.WatchRequest{ResumeToken: token}).one()
		wantLines(t, m, "pay DEGRADED") // only the latest of the missed changes
		if m.GetSnapshot() || m.GetGap() || m.GetRevision() != 4 {
			t.Errorf("%v", m)
		}
		w.watch(t, &pb.WatchRequest{ResumeToken: m.GetResumeToken()}).none()

		other := wire.Token{Epoch: 78, Revision: 1, Scope: wire.Scope(&pb.WatchRequest{})}.Encode()
		future := wire.Token{Epoch: 77, Revision: 1000, Scope: wire.Scope(&pb.WatchRequest{})}.Encode()
		for what, req := range map[string]*pb.WatchRequest{
			"another process's": {ResumeToken: other},
			"of the future":     {ResumeToken: future},
			"of another stream": {ResumeToken: token, Names: []string{"pay", "shop"}},
			"made up":           {ResumeToken: "hello"},
		} {
			m := w.watch(t, req).one()
			wantLines(t, m, "pay DEGRADED", "shop SERVING")
			if !m.GetGap() || !m.GetSnapshot() || !m.GetSnapshotEnd() {
				t.Errorf("a token %s: %v", what, m)
			}
		}
		w.watch(t, &pb.WatchRequest{ResumeToken: strings.Repeat("x", wire.MaxToken+1)}).ends(codes.InvalidArgument)
	})
}

func TestWatchResumeAfterTheLogIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("pay", health.Serving))
		token := w.watch(t, &pb.WatchRequest{}).one().GetResumeToken()
		big := is("noise", health.NotServing)
		big.Reason = strings.Repeat("x", 1<<20)
		for range 10 {
			w.publish(big)
		}
		m := w.watch(t, &pb.WatchRequest{ResumeToken: token}).one()
		if !m.GetGap() || !m.GetSnapshot() {
			t.Errorf("%v", m)
		}
	})
}

func TestWatchHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Build: "v9"})
		w.publish(is("pay", health.Serving))
		ins := map[int]*inbox[*pb.WatchResponse]{
			1:  w.watch(t, &pb.WatchRequest{Heartbeat: durationpb.New(time.Second)}),
			3:  w.watch(t, &pb.WatchRequest{Heartbeat: durationpb.New(2500 * time.Millisecond)}),
			10: w.watch(t, &pb.WatchRequest{}),
			60: w.watch(t, &pb.WatchRequest{Heartbeat: durationpb.New(time.Minute)}),
		}
		for _, in := range ins {
			in.one()
		}
		for range 60 {
			synctest.Wait()
			w.feed.Beat()
		}
		for period, in := range ins {
			beats := in.received()
			if len(beats) != 60/period {
				t.Errorf("every %d s: %d beats in 60 s", period, len(beats))
			}
			for _, m := range beats {
				if len(m.GetEntries()) > 0 || m.GetSnapshot() || m.GetRevision() != 1 || m.GetBuild() != "v9" || m.GetResumeToken() == "" {
					t.Errorf("a heartbeat: %v", m)
				}
			}
		}
		for _, bad := range []time.Duration{0, time.Second - 1, time.Minute + 1} {
			w.watch(t, &pb.WatchRequest{Heartbeat: durationpb.New(bad)}).ends(codes.InvalidArgument)
		}
	})
}

// Changes that a watcher does not select must not replace its heartbeats: a client takes
// three missed heartbeats for a broken path.
func TestWatchHeartbeatsAmidTheNoiseOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		quiet := []*inbox[*pb.WatchResponse]{
			w.watch(t, &pb.WatchRequest{Names: []string{"pay/1"}, Heartbeat: durationpb.New(time.Second)}),
			w.watch(t, &pb.WatchRequest{Names: []string{"pay/1", "shop/1"}, Heartbeat: durationpb.New(time.Second)}),
			w.watch(t, &pb.WatchRequest{Selector: &pb.Selector{Zone: "far"}, Heartbeat: durationpb.New(time.Second)}),
		}
		for _, in := range quiet {
			in.one()
		}
		for range 100 {
			w.publish(is("pay", health.Serving)) // a change and a heartbeat at the same time
			w.feed.Beat()
			synctest.Wait()
		}
		for i, in := range quiet {
			if n := len(in.received()); n != 100 {
				t.Errorf("watcher %d: %d heartbeats of 100", i, n)
			}
		}
	})
}

func TestSlowWatcherGetsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		in := w.watch(t, &pb.WatchRequest{})
		in.one()
		for i := range 1000 {
			w.publish(is("pay", health.Statuses()[i%2+1]))
			w.publish(is("shop", health.Serving))
		}
		got := map[string]string{}
		messages := in.received()
		for _, m := range messages {
			for _, line := range lines(m) {
				name, status, _ := strings.Cut(line, " ")
				got[name] = status
			}
		}
		if got["pay"] != "DEGRADED" || got["shop"] != "SERVING" || len(messages) > 2000 {
			t.Errorf("%v in %d messages", got, len(messages))
		}
	})
}

func TestWatchRefusesWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		for _, bad := range []*pb.WatchRequest{
			{Names: []string{"a b"}},
			{Names: []string{"a", "a"}},
			{Names: make([]string, wire.MaxNames+1)},
			{Names: []string{"a"}, Selector: &pb.Selector{}},
			{Selector: &pb.Selector{Statuses: []pb.Status{pb.Status_STATUS_SERVING}}},
		} {
			in := w.watch(t, bad)
			in.none()
			in.ends(codes.InvalidArgument)
		}
	})
}
