package grpchealth

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func TestCheck(t *testing.T) {
	w := newWorld(t, Config{})
	w.publish(is("self", health.Serving), is("pay", health.Degraded), is("pay/1", health.Draining), is("*", health.Unknown))
	for name, want := range map[string]pb.Status{
		"": pb.Status_STATUS_SERVING, "pay": pb.Status_STATUS_DEGRADED,
		"pay/1": pb.Status_STATUS_DRAINING, "*": pb.Status_STATUS_UNKNOWN,
	} {
		r, err := w.mesh.Check(t.Context(), &pb.CheckRequest{Service: name})
		if err != nil || r.GetStatus() != want || r.GetHealth().GetStatus() != want {
			t.Errorf("%q: %v, %v, want %v", name, r, err, want)
		}
	}
	_, err := w.mesh.Check(t.Context(), &pb.CheckRequest{Service: "shop"})
	wantCode(t, err, codes.NotFound)
	_, err = w.mesh.Check(t.Context(), &pb.CheckRequest{Service: "a b"})
	wantCode(t, err, codes.InvalidArgument)
}

func TestFiguresAreCurrent(t *testing.T) {
	runs := uint64(0)
	w := newWorld(t, Config{Metrics: func(id health.ID) ([]health.CheckState, *health.Metrics) {
		if id != self {
			return nil, nil
		}
		runs++
		return []health.CheckState{{Name: "db", Runs: runs}}, &health.Metrics{Runs: runs}
	}})
	w.publish(is("self", health.Serving))
	r, err := w.mesh.Check(t.Context(), &pb.CheckRequest{})
	if err != nil || r.GetHealth().GetChecks()[0].GetRuns() != 1 || r.GetHealth().GetMetrics().GetRuns() != 1 {
		t.Errorf("Check: %v, %v", r, err)
	}
	l, err := w.mesh.List(t.Context(), &pb.ListRequest{})
	if err != nil || l.GetEntries()[0].GetChecks()[0].GetRuns() != 2 {
		t.Errorf("List: %v, %v", l, err)
	}
}

func TestListPages(t *testing.T) {
	w := newWorld(t, Config{})
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("pay/%02d", i)
		want = append(want, name)
		w.publish(is(name, health.Serving))
	}
	want = append([]string{"pay"}, want...) // aggregates come first
	w.publish(is("pay", health.Serving))
	var got []string
	token, pages := "", 0
	for {
		r, err := w.mesh.List(t.Context(), &pb.ListRequest{PageSize: 10, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.GetEntries() {
			got = append(got, health.ID{Service: e.GetService(), Instance: e.GetInstance()}.String())
		}
		if r.GetRevision() != w.revision {
			t.Errorf("revision %d, want %d", r.GetRevision(), w.revision)
		}
		pages++
		if token = r.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(got, want) || pages != 3 {
		t.Errorf("%d pages: %q", pages, got)
	}
	for _, bad := range []*pb.ListRequest{{PageSize: -1}, {PageSize: wire.MaxPage + 1}, {PageToken: "!"}} {
		_, err := w.mesh.List(t.Context(), bad)
		wantCode(t, err, codes.InvalidArgument)
	}
}

func TestListSelects(t *testing.T) {
	w := newWorld(t, Config{})
	w.publish(is("self", health.Serving), is("pay", health.Degraded), labelled("pay/1", "prod"), labelled("pay/2", "test"),
		is("shop", health.NotServing), labelled("shop/1", "prod"))
	for _, c := range []struct {
		selector *pb.Selector
		want     []string
	}{
		{nil, []string{"pay", "pay/1", "pay/2", "self", "shop", "shop/1"}},
		{&pb.Selector{Services: []string{"pay"}}, []string{"pay", "pay/1", "pay/2"}},
		{&pb.Selector{Services: []string{""}}, []string{"self"}}, // the empty name stands for the publisher
		{&pb.Selector{Services: []string{"nobody"}}, nil},
		{&pb.Selector{Labels: map[string]string{"env": "prod"}}, []string{"pay/1", "shop/1"}},
		{&pb.Selector{Zone: "z-test"}, []string{"pay/2"}},
		{&pb.Selector{Statuses: []pb.Status{pb.Status_STATUS_NOT_SERVING}}, []string{"shop"}},
		{&pb.Selector{AggregatesOnly: true}, []string{"pay", "self", "shop"}},
	} {
		r, err := w.mesh.List(t.Context(), &pb.ListRequest{Selector: c.selector})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(r.GetEntries()); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.selector, got, c.want)
		}
	}
}

func names(entries []*pb.Health) []string {
	var all []string
	for _, e := range entries {
		all = append(all, health.ID{Service: e.GetService(), Instance: e.GetInstance()}.String())
	}
	return all
}

// rawCodec returns the received bytes, so that the test also sees unknown fields.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(*[]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
	}
	return encoding.GetCodecV2("proto").Marshal(v)
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// secrets are the texts that only the audience Full may see.
var secrets = []string{"dial-secret", "check-secret", "10.9.8.7:6543", "override-secret", "author-secret"}

func secretState() health.State {
	s := is("pay/1", health.NotServing)
	s.Cause, s.Reason = health.CauseFailed, "db: dial-secret"
	s.Checks = []health.CheckState{{Name: "db", Status: health.NotServing, Cause: health.CauseFailed, Reason: "check-secret"}}
	s.Spec = &health.Spec{Address: "10.9.8.7:6543"}
	s.Override = &health.Override{Status: health.Maintenance, Reason: "override-secret", Author: "author-secret", SetAt: time.Now()}
	return s
}

func TestPublicGetsNoText(t *testing.T) {
	for _, full := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config{
				Rights:  showReasons(func(context.Context) bool { return full }),
				Metrics: func(health.ID) ([]health.CheckState, *health.Metrics) { return secretState().Checks, nil },
			})
			w.publish(secretState())
			for method, raw := range w.everyAnswer(t) {
				for _, secret := range secrets {
					if bytes.Contains(raw, []byte(secret)) != full {
						t.Errorf("full %v, %s, %q: %q", full, method, secret, raw)
					}
				}
				if !bytes.Contains(raw, []byte("db")) {
					t.Errorf("full %v, %s lacks even the check's name", full, method)
				}
			}
		})
	}
}

// everyAnswer returns the bytes of all answers that contain the state of pay/1.
func (w *world) everyAnswer(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	call := func(method string, req any) {
		var raw []byte
		if err := w.conn.Invoke(t.Context(), method, req, &raw, grpc.ForceCodecV2(rawCodec{})); err != nil {
			t.Fatal(method, err)
		}
		all[method] = raw
	}
	call(pb.HealthService_Check_FullMethodName, &pb.CheckRequest{Service: "pay/1"})
	call(pb.HealthService_List_FullMethodName, &pb.ListRequest{})
	for how, req := range map[string]*pb.WatchRequest{"names": {Names: []string{"pay/1"}}, "all": {}} {
		stream, err := w.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true},
			pb.HealthService_Watch_FullMethodName, grpc.ForceCodecV2(rawCodec{}))
		if err == nil {
			err = stream.SendMsg(req)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"snapshot", "change"} {
			var raw []byte
			if err := stream.RecvMsg(&raw); err != nil {
				t.Fatal(err)
			}
			all["Watch "+how+" "+what] = raw
			w.publish(secretState())
		}
	}
	return all
}

func TestAudiencesDoNotShareEncodings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		friend := false
		w := newWorld(t, Config{Rights: showReasons(func(context.Context) bool { return friend })})
		public := w.watch(t, &pb.WatchRequest{})
		public.one()
		friend = true
		full := w.watch(t, &pb.WatchRequest{})
		full.one()
		for range 10 {
			w.publish(secretState())
			if got := full.one().GetEntries()[0].GetReason(); got != "db: dial-secret" {
				t.Errorf("who may see it gets %q", got)
			}
			if got := public.one().GetEntries()[0].GetReason(); got != "db: failed" {
				t.Errorf("the public gets %q", got)
			}
		}
	})
}
