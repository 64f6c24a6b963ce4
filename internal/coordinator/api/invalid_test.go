package api

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// refusal is a request that must be refused, with the field and the text of the error.
type refusal struct {
	what  string
	req   any
	field string
	says  string
}

// refuses sends an invalid request and checks its error. An open Watch must not see an
// effect of it, but must see the next valid change.
func refuses(t *testing.T, cases func(w *world) []refusal) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		for i, c := range cases(w) {
			in.entries()
			wantRefusal(t, c, w.send(c.req))
			in.wants()
			next := fmt.Sprintf("next/%d", i)
			w.lease(next)
			in.wants(next + " STARTING")
		}
	})
}

func wantRefusal(t *testing.T, c refusal, err error) {
	t.Helper()
	wantCode(t, err, codes.InvalidArgument, "")
	got, all := violation(err, c.field)
	if !strings.Contains(got, c.says) || got == "" {
		t.Errorf("%s: %v, of %s %q; want one with %q\nall: %s", c.what, err, c.field, got, c.says, all)
	}
}

// change returns a registration of two instances, of which edit changes one.
func change(edit func(*pb.Registration)) *pb.RegisterRequest {
	r := instance("pay/1")
	edit(r)
	return &pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/0"), r}}
}

// labels returns n labels.
func labels(n int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprintf("l%d", i)] = "x"
	}
	return all
}

func long(n int) string { return strings.Repeat("x", n) }

func TestRegisterRefusesBadFields(t *testing.T) {
	type r = pb.Registration
	cases := []struct {
		what, field, says string
		edit              func(*r)
	}{
		{"no service", "service", "allowed: 1 to 255 of [A-Za-z0-9._-]", func(r *r) { r.Service = "" }},
		{"a long service", "service", "has 256 bytes; allowed: 1 to 255", func(r *r) { r.Service = long(256) }},
		{"a service with a slash", "service", "has '/' in it; allowed:", func(r *r) { r.Service = "a/b" }},
		{"the mesh", "service", "has '*' in it; allowed:", func(r *r) { r.Service = "*" }},
		{"a line break", "service", `has '\n' in it; allowed:`, func(r *r) { r.Service = "a\nb" }},
		{"no instance", "instance", "allowed: 1 to 255 of [A-Za-z0-9._:-]", func(r *r) { r.Instance = "" }},
		{"a long instance", "instance", "has 256 bytes; allowed:", func(r *r) { r.Instance = long(256) }},
		{"an instance with a space", "instance", "has ' ' in it; allowed:", func(r *r) { r.Instance = "a b" }},
		{"no address", "address", `"" is not an address`, func(r *r) { r.Address = "" }},
		{"an address without a port", "address", "is not an address", func(r *r) { r.Address = "192.0.2.7" }},
		{"port 0", "address", "allowed: 1 to 65535", func(r *r) { r.Address = "192.0.2.7:0" }},
		{"port 65536", "address", "allowed: 1 to 65535", func(r *r) { r.Address = "192.0.2.7:65536" }},
		{"a named port", "address", "allowed: 1 to 65535", func(r *r) { r.Address = "192.0.2.7:http" }},
		{"a URL", "address", "is not an address", func(r *r) { r.Address = "http://192.0.2.7:80" }},
		{"a path", "address", "allowed: a DNS name or an IP address", func(r *r) { r.Address = "a/b:80" }},
		{"a long address", "address", "allowed: at most 261", func(r *r) { r.Address = long(260) + ":80" }},
		{"a long health name", "health_name", "allowed: at most 255", func(r *r) { r.HealthName = long(256) }},
		{"a health name with NUL", "health_name", "control characters", func(r *r) { r.HealthName = "a\x00" }},
		{"no incarnation", "incarnation", "has 0 bytes; allowed: 1 to 64", func(r *r) { r.Incarnation = "" }},
		{"a long incarnation", "incarnation", "allowed: 1 to 64", func(r *r) { r.Incarnation = long(65) }},
		{"an incarnation of smileys", "incarnation", "printable ASCII", func(r *r) { r.Incarnation = "☺" }},
		{"a static one with incarnation", "incarnation", "static", func(r *r) { r.Static = true }},
		{"65 labels", "labels", "has 65; allowed: at most 64", func(r *r) { r.Labels = labels(65) }},
		{"a long label key", "labels", "is not 1 to 63 of", func(r *r) { r.Labels = map[string]string{long(64): ""} }},
		{"a label without a key", "labels", "is not 1 to 63 of", func(r *r) { r.Labels = map[string]string{"": "x"} }},
		{"a label key with =", "labels", "is not 1 to 63 of", func(r *r) { r.Labels = map[string]string{"a=b": "x"} }},
		{"a long label value", "labels", "allowed: at most 255", func(r *r) { r.Labels = map[string]string{"a": long(256)} }},
		{"a label value with ESC", "labels", "control characters", func(r *r) { r.Labels = map[string]string{"a": "\x1b"} }},
		{"a long zone", "zone", "has 64 bytes; allowed: at most 63", func(r *r) { r.Zone = long(64) }},
		{"a long version", "version", "allowed: at most 128", func(r *r) { r.Version = long(129) }},
		{"a long server name", "server_name", "allowed: at most 253", func(r *r) { r.ServerName = long(254) }},
		{"a server name with @", "server_name", "has '@' in it; allowed:", func(r *r) { r.ServerName = "a@b" }},
		{"TTL 0", "ttl", "is 0s; allowed: 3s to 10m0s", func(r *r) { r.Ttl = durationpb.New(0) }},
		{"a short TTL", "ttl", "allowed: 3s to 10m0s", func(r *r) { r.Ttl = durationpb.New(3*time.Second - 1) }},
		{"a long TTL", "ttl", "allowed: 3s to 10m0s", func(r *r) { r.Ttl = durationpb.New(10*time.Minute + 1) }},
		{"a negative TTL", "ttl", "allowed: 3s to 10m0s", func(r *r) { r.Ttl = durationpb.New(-time.Minute) }},
		{"a TTL beside all reason", "ttl", "is not a duration", func(r *r) { r.Ttl = &durationpb.Duration{Seconds: 1, Nanos: -1} }},
		{"a static one with a TTL", "ttl", "static", func(r *r) { r.Static, r.Incarnation = true, "" }},
	}
	refuses(t, func(*world) (all []refusal) {
		for _, c := range cases {
			all = append(all, refusal{c.what, change(c.edit), "registrations[1]." + c.field, c.says})
		}
		return all
	})
}

func TestRegisterRefusesBadRequests(t *testing.T) {
	many := make([]*pb.Registration, wire.MaxRegistrations+1)
	refuses(t, func(*world) []refusal {
		return []refusal{
			{"nothing", &pb.RegisterRequest{}, "registrations", "has 0; allowed: 1 to 500"},
			{"too much", &pb.RegisterRequest{Registrations: many}, "registrations", "has 501; allowed: 1 to 500"},
			{
				"twice the same",
				&pb.RegisterRequest{Registrations: []*pb.Registration{instance("a/1"), instance("a/2"), instance("a/1")}},
				"registrations[2]", "names the same instance as registrations[0]",
			},
			{
				"one that is empty", &pb.RegisterRequest{Registrations: []*pb.Registration{instance("a/1"), {}}},
				"registrations[1].service", "is empty",
			},
		}
	})
}

// An error is sent in a header of limited size, so that the list of invalid fields of 500
// registrations is cut.
func TestRegisterRefusesWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		err := w.send(&pb.RegisterRequest{Registrations: make([]*pb.Registration, wire.MaxRegistrations)})
		wantCode(t, err, codes.InvalidArgument, "")
		if _, all := violation(err, ""); strings.Count(all, "\n") != 20 || !strings.Contains(err.Error(), "more") {
			t.Errorf("%v\n%s", err, all)
		}
		if w.check("pay") != nil {
			t.Error("something was registered")
		}
	})
}

func TestRegisterIsAllOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		in := w.watch(&pb.WatchRequest{})
		in.entries()
		if err := w.send(change(func(r *pb.Registration) { r.Zone = long(64) })); err == nil {
			t.Error("it was taken")
		}
		in.wants()
		if w.check("pay/0") != nil {
			t.Error("the good half was registered")
		}
	})
}
