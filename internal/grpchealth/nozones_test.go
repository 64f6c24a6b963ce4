package grpchealth

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"unsafe"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// zones returns the states of two services with an instance in a zone each, of these zones, and of the
// mesh.
func zones(s health.Status) []health.State {
	one, two := is("pay/1", s), is("shop/1", s)
	one.Spec, two.Spec = &health.Spec{Zone: "eu"}, &health.Spec{Zone: "us"}
	return []health.State{
		is("*", s), is("*/eu", s), is("*/us", s), is("pay", s), one, is("pay/@eu", s), is("shop", s), two, is("shop/@us", s),
	}
}

// TestNoServiceZones: List and Watch omit services in zones, in the snapshot and in changes, beside
// each other field of the selector. They never omit a zone of the mesh or an instance.
func TestNoServiceZones(t *testing.T) {
	for name, c := range map[string]struct {
		selector *pb.Selector
		want     []string
	}{
		"alone":           {&pb.Selector{}, []string{"*", "*/eu", "*/us", "pay", "pay/1", "shop", "shop/1"}},
		"zone":            {&pb.Selector{Zone: "eu"}, []string{"*/eu", "pay/1"}},
		"services":        {&pb.Selector{Services: []string{"pay"}}, []string{"pay", "pay/1"}},
		"zone of service": {&pb.Selector{Services: []string{"pay"}, Zone: "eu"}, []string{"pay/1"}},
		"aggregates":      {&pb.Selector{AggregatesOnly: true}, []string{"*", "pay", "shop"}},
		"zone aggregates": {&pb.Selector{AggregatesOnly: true, Zone: "us"}, []string{"*/us"}},
		"labels":          {&pb.Selector{Labels: map[string]string{"a": "b"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.selector.NoServiceZones = true
				w := newWorld(t, Config{})
				w.publish(zones(health.Serving)...)
				list, err := w.mesh.List(t.Context(), &pb.ListRequest{Selector: c.selector})
				if err != nil || !slices.Equal(names(list.GetEntries()), c.want) {
					t.Errorf("List: %q, %v; want %q", names(list.GetEntries()), err, c.want)
				}
				var serving, degraded []string
				for _, name := range c.want {
					serving, degraded = append(serving, name+" SERVING"), append(degraded, name+" DEGRADED")
				}
				in := w.watch(t, &pb.WatchRequest{Selector: c.selector})
				wantLines(t, in.one(), serving...)
				w.publish(is("pay/@eu", health.NotServing), is("shop/@us", health.NotServing))
				in.none()
				if w.publish(zones(health.Degraded)...); len(c.want) > 0 {
					wantLines(t, in.one(), degraded...)
				}
				w.publish(gone("pay/@eu"))
				in.none()
			})
		})
	}
}

// TestNoServiceZonesResumes: a client cannot resume a Watch of everything without services in zones, or
// the other way round. It gets a snapshot.
func TestNoServiceZonesResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(zones(health.Serving)...)
		fewer := &pb.Selector{NoServiceZones: true}
		token := map[bool]string{
			false: w.watch(t, &pb.WatchRequest{Selector: &pb.Selector{}}).one().GetResumeToken(),
			true:  w.watch(t, &pb.WatchRequest{Selector: fewer}).one().GetResumeToken(),
		}
		w.publish(is("pay", health.Degraded), is("pay/@eu", health.Degraded))
		again := w.watch(t, &pb.WatchRequest{Selector: fewer, ResumeToken: token[true]}).one()
		wantLines(t, again, "pay DEGRADED")
		if again.GetSnapshot() {
			t.Error("the same selector gets a snapshot")
		}
		for _, req := range []*pb.WatchRequest{
			{Selector: fewer, ResumeToken: token[false]}, {Selector: &pb.Selector{}, ResumeToken: token[true]},
		} {
			if m := w.watch(t, req).one(); !m.GetSnapshot() {
				t.Errorf("%v is resumed", req)
			}
		}
	})
}

// stream keeps where the encoded entries of the last message are in memory.
type stream struct {
	grpc.ServerStreamingServer[pb.WatchResponse]
	ctx     context.Context
	entries []byte
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) Send(m *pb.WatchResponse) error {
	s.entries = m.ProtoReflect().GetUnknown()
	return nil
}

func (s *stream) SendMsg(m any) error {
	s.entries = m.(jsonMessage).elements
	return nil
}

// TestBatchIsEncodedTwice: for three Watches of everything and three without services in zones, a batch
// is encoded once for each three. Each entry is encoded once for all six.
func TestBatchIsEncodedTwice(t *testing.T) {
	for _, format := range []feed.Format{feed.Protobuf, feed.JSON} {
		w := newWorld(t, Config{})
		w.publish(zones(health.Serving)...)
		type reading struct {
			reader *feed.Reader
			sender *sender
			to     *stream
			fewer  bool
		}
		var all []reading
		next := func(r *reading) {
			step, _, err := nextStep(t.Context(), r.reader)
			if err == nil {
				err = r.sender.send(&step)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range 6 {
			asked, err := wire.WatchRequest(&pb.WatchRequest{Selector: &pb.Selector{NoServiceZones: i%2 == 0}})
			if err != nil {
				t.Fatal(err)
			}
			to := &stream{ctx: t.Context()}
			caller := access.ReadStatus
			all = append(all, reading{
				w.handlers.newReader(&asked), w.handlers.newSender(&asked, caller, format, timedStream[pb.WatchResponse]{to, w.handlers, &watcher{}}), to, i%2 == 0,
			})
			next(&all[i])
		}
		b := w.publish(zones(health.Degraded)...)
		encodings := map[*byte]bool{} // true if it is one without services in zones
		for i := range all {
			next(&all[i])
			encodings[unsafe.SliceData(all[i].to.entries)] = all[i].fewer
		}
		if len(encodings) != 2 {
			t.Errorf("format %d: the batch was encoded %d times, want twice", format, len(encodings))
		}
		detail, _ := all[0].sender.view.shownOf(b)
		size := map[bool]int{}
		for _, e := range b.Entries {
			bytes := e.Encoded(encodingOf(format, detail), func(*feed.Entry) []byte { t.Errorf("%v was not encoded", e.ID); return nil })
			for _, fewer := range []bool{false, true} {
				if _, zone := e.ID.Zone(); !fewer || !zone || e.ID.Service == health.MeshName {
					size[fewer] += len(bytes)
				}
			}
		}
		for _, r := range all {
			if len(r.to.entries) != size[r.fewer] {
				t.Errorf("format %d: %d bytes, want %d", format, len(r.to.entries), size[r.fewer])
			}
		}
	}
}

// TestOnlyNoServiceZonesSharesBatches: a Watch with any other field of the selector does not take the
// bytes of a whole batch. This holds also for fields that are added later.
func TestOnlyNoServiceZonesSharesBatches(t *testing.T) {
	fields := (&pb.Selector{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f, s := fields.Get(i), &pb.Selector{}
		m := s.ProtoReflect()
		switch {
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("a").MapKey(), protoreflect.ValueOfString("b"))
		case f.IsList() && f.Kind() == protoreflect.StringKind:
			m.Mutable(f).List().Append(protoreflect.ValueOfString("a"))
		case f.IsList():
			m.Mutable(f).List().Append(protoreflect.ValueOfEnum(1))
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString("a"))
		default:
			m.Set(f, protoreflect.ValueOfBool(true))
		}
		w, err := wire.WatchRequest(&pb.WatchRequest{Selector: s})
		v := newView(&w, access.ReadStatus, feed.JSON)
		if got := err == nil && v.everything(); got != (f.Name() == "no_service_zones") {
			t.Errorf("%s: takes whole batches: %v", f.Name(), got)
		}
	}
}
