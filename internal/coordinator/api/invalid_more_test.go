package api

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// leaseFields are invalid ways to name a lease, for Renew, Deregister and Report.
var leaseFields = []struct{ what, service, instance, lease, field, says string }{
	{"no service", "", "1", "a1", "service", "is empty; allowed: 1 to 255 of"},
	{"a bad service", "pay/1", "1", "a1", "service", "has '/' in it; allowed:"},
	{"a long service", long(256), "1", "a1", "service", "has 256 bytes; allowed:"},
	{"no instance", "pay", "", "a1", "instance", "is empty; allowed: 1 to 255 of"},
	{"a bad instance", "pay", "a b", "a1", "instance", "has ' ' in it; allowed:"},
	{"a long instance", "pay", long(256), "a1", "instance", "has 256 bytes; allowed:"},
	{"no number", "pay", "1", "xyz", "lease_id", "allowed: the lease_id Register answered"},
	{"a sign", "pay", "1", "+a1", "lease_id", "allowed: the lease_id"},
	{"a large number", "pay", "1", "10000000000000000", "lease_id", "allowed: the lease_id"},
	{"a long number", "pay", "1", "000000000000000000000000000000001", "lease_id", "allowed: the lease_id"},
}

func TestRenewRefusesBadFields(t *testing.T) {
	refuses(t, func(*world) (all []refusal) {
		for _, f := range leaseFields {
			all = append(all, refusal{f.what, &pb.RenewRequest{Service: f.service, Instance: f.instance, LeaseId: f.lease}, f.field, f.says})
		}
		none := &pb.RenewRequest{Service: "pay", Instance: "1"}
		return append(all, refusal{"no lease", none, "lease_id", "allowed: the lease_id"})
	})
}

func TestDeregisterRefusesBadFields(t *testing.T) {
	refuses(t, func(*world) (all []refusal) {
		for _, f := range leaseFields {
			all = append(all, refusal{f.what, &pb.DeregisterRequest{Service: f.service, Instance: f.instance, LeaseId: f.lease}, f.field, f.says})
		}
		return all
	})
}

func TestReportRefusesBadFields(t *testing.T) {
	const allowed = "allowed: SERVING, DEGRADED, NOT_SERVING, STARTING, DRAINING or MAINTENANCE"
	refuses(t, func(w *world) (all []refusal) {
		for _, f := range leaseFields {
			all = append(all, refusal{f.what, &pb.ReportRequest{
				Service: f.service, Instance: f.instance, LeaseId: f.lease, Status: pb.Status_STATUS_SERVING,
			}, f.field, f.says})
		}
		all = append(all, refusal{"no lease", &pb.ReportRequest{Service: "pay", Instance: "1"}, "lease_id", "allowed: the lease_id"})
		l := w.lease("pay/1")
		for _, s := range []pb.Status{pb.Status_STATUS_UNKNOWN, pb.Status_STATUS_SERVICE_UNKNOWN, 99, -1} {
			all = append(all, refusal{"status " + s.String(), pushed(l, s), "status", allowed})
		}
		return all
	})
}

// pushed returns the first message of a Report.
func pushed(l *pb.Lease, s pb.Status) *pb.ReportRequest {
	return &pb.ReportRequest{Service: l.GetService(), Instance: l.GetInstance(), LeaseId: l.GetLeaseId(), Status: s}
}

// badScopes are scopes that are refused.
var badScopes = []struct{ what, name, says string }{
	{"no name", "", "is for nobody in particular; allowed: SERVICE/INSTANCE"},
	{"the mesh", "*", "allowed: SERVICE/INSTANCE"},
	{"what selects nothing", "zone=z,team=core", `"team=core" selects nothing; allowed: service=S, zone=Z, label.KEY=VALUE`},
	{"no zone", "zone=", "is empty, or there twice"},
	{"two zones", "zone=a,zone=b", "is empty, or there twice"},
	{"one label twice", "label.a=1,label.a=2", `label "a" is there twice`},
	{"a bad zone", "zone=a b", "zone has ' ' in it; allowed: 1 to 63 of"},
	{"a long zone", "zone=" + long(64), "zone has 64 bytes; allowed: at most 63"},
	{"a bad service", "service=a b", "the service's name has ' ' in it"},
	{"a bad label", "label.a b=c", "is not 1 to 63 of"},
	{"a long one", "zone=" + long(5000), "has 5005 bytes; allowed: at most 1024"},
	{"no service", "/1", "is empty; allowed: 1 to 255 of"},
	{"no instance", "pay/", "is empty; allowed: 1 to 255 of"},
	{"two slashes", "pay/1/2", "has '/' in it; allowed:"},
	{"a long service", long(256) + "/1", "has 256 bytes; allowed:"},
	{"a long instance", "pay/" + long(256), "has 256 bytes; allowed:"},
	{"a line break", "pay/1\n", `has '\n' in it; allowed:`},
}

// good returns a valid override.
func good() *pb.SetOverrideRequest {
	return &pb.SetOverrideRequest{
		Name: "pay/1", Status: pb.Status_STATUS_MAINTENANCE, Reason: "new disks", Ttl: durationpb.New(time.Hour),
	}
}

func TestSetOverrideRefusesBadFields(t *testing.T) {
	type r = pb.SetOverrideRequest
	const statuses, ttls = "allowed: SERVING, DEGRADED, NOT_SERVING or MAINTENANCE", "allowed: 1s to 8784h0m0s"
	cases := []struct {
		what, field, says string
		edit              func(*r)
	}{
		{"no reason", "reason", "is empty; allowed: 1 to 1024 bytes", func(r *r) { r.Reason = "" }},
		{"a long reason", "reason", "has 1025 bytes; allowed: at most 1024", func(r *r) { r.Reason = long(1025) }},
		{"no status", "status", statuses, func(r *r) { r.Status = 0 }},
		{"STARTING", "status", "is STATUS_STARTING; " + statuses, func(r *r) { r.Status = pb.Status_STATUS_STARTING }},
		{"DRAINING", "status", statuses, func(r *r) { r.Status = pb.Status_STATUS_DRAINING }},
		{"SERVICE_UNKNOWN", "status", statuses, func(r *r) { r.Status = pb.Status_STATUS_SERVICE_UNKNOWN }},
		{"no such status", "status", "is 99; " + statuses, func(r *r) { r.Status = 99 }},
		{"no end", "ttl", "is missing; " + ttls, func(r *r) { r.Ttl = nil }},
		{"expired", "ttl", "is 0s; " + ttls, func(r *r) { r.Ttl = durationpb.New(0) }},
		{"expired long ago", "ttl", ttls, func(r *r) { r.Ttl = durationpb.New(-time.Hour) }},
		{"too short", "ttl", ttls, func(r *r) { r.Ttl = durationpb.New(time.Second - 1) }},
		{"too long", "ttl", ttls, func(r *r) { r.Ttl = durationpb.New(wire.MaxOverrideTTL + 1) }},
		{"no duration", "ttl", "is not a duration", func(r *r) { r.Ttl = &durationpb.Duration{Seconds: 1, Nanos: 1 << 30} }},
	}
	for _, bad := range badScopes {
		cases = append(cases, struct {
			what, field, says string
			edit              func(*r)
		}{bad.what, "name", bad.says, func(r *r) { r.Name = bad.name }})
	}
	refuses(t, func(w *world) (all []refusal) {
		w.lease("pay/1")
		for _, c := range cases {
			q := good()
			c.edit(q)
			all = append(all, refusal{c.what, q, c.field, c.says})
		}
		return all
	})
}

// An error names all invalid fields.
func TestSetOverrideNamesEveryField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := newWorld(t, nil).send(&pb.SetOverrideRequest{Name: "*", Ttl: durationpb.New(0)})
		wantCode(t, err, codes.InvalidArgument, "")
		for _, field := range []string{"name", "reason", "status", "ttl"} {
			if says, all := violation(err, field); says == "" {
				t.Errorf("nothing of %s: %s", field, all)
			}
		}
	})
}

func TestClearOverrideRefusesBadNames(t *testing.T) {
	refuses(t, func(*world) (all []refusal) {
		for _, bad := range badScopes {
			all = append(all, refusal{bad.what, &pb.ClearOverrideRequest{Name: bad.name}, "name", bad.says})
		}
		return all
	})
}

func TestListTransitionsRefusesBadFields(t *testing.T) {
	const sizes, tokens = "allowed: 1 to 1000, 0 for 100", "is not one that was handed out"
	type q = pb.ListTransitionsRequest
	refuses(t, func(*world) []refusal {
		return []refusal{
			{"a bad name", &q{Name: "a b"}, "name", "has ' ' in it; allowed:"},
			{"a long name", &q{Name: long(256)}, "name", "has 256 bytes; allowed:"},
			{"no instance", &q{Name: "pay/"}, "name", "is empty; allowed:"},
			{"a negative size", &q{PageSize: -1}, "page_size", "is -1; " + sizes},
			{"a large size", &q{PageSize: 1001}, "page_size", "is 1001; " + sizes},
			{"no token", &q{PageToken: "!"}, "page_token", tokens},
			{"a long token", &q{PageToken: long(129)}, "page_token", tokens},
			{"no time", &q{From: &timestamppb.Timestamp{Nanos: -1}}, "from", "is 0 s and -1 ns after 1970; allowed: a time in the years 1970 to 9999"},
			{"a time too early", &q{To: &timestamppb.Timestamp{Seconds: -1}}, "to", "allowed: a time in the years 1970 to 9999"},
			{"a time too late", &q{From: &timestamppb.Timestamp{Seconds: 1 << 40}}, "from", "allowed: a time in the years 1970 to 9999"},
			{
				"no range", &q{From: &timestamppb.Timestamp{Seconds: 60}, To: &timestamppb.Timestamp{Seconds: 60}}, "to",
				"is 1970-01-01T00:01:00Z; allowed: a time after from (1970-01-01T00:01:00Z)",
			},
		}
	})
}

func TestReadingRefusesBadFields(t *testing.T) {
	const sizes, tokens = "allowed: 1 to 1000, 0 for 100", "is not one that was handed out"
	serving := []pb.Status{pb.Status_STATUS_SERVING}
	refuses(t, func(*world) []refusal {
		return []refusal{
			{"Check: a bad name", &pb.CheckRequest{Service: "a b"}, "service", "has ' ' in it; allowed:"},
			{"List: a size", &pb.ListRequest{PageSize: 1001}, "page_size", sizes},
			{"List: a token", &pb.ListRequest{PageToken: "!"}, "page_token", tokens},
			{"List: labels", &pb.ListRequest{Selector: &pb.Selector{Labels: labels(65)}}, "selector.labels", "allowed: at most 64"},
			{"List: a zone", &pb.ListRequest{Selector: &pb.Selector{Zone: long(64)}}, "selector.zone", "allowed: at most 63"},
			{"List: a status", &pb.ListRequest{Selector: &pb.Selector{Statuses: []pb.Status{99}}}, "selector.statuses[0]", "allowed: the statuses"},
			{"List: services", &pb.ListRequest{Selector: &pb.Selector{Services: slices.Repeat([]string{"a"}, 129)}}, "selector.services", "allowed: at most 128"},
			{"Watch: names", &pb.WatchRequest{Names: slices.Repeat([]string{"a"}, 129)}, "names", "allowed: at most 128"},
			{"Watch: twice", &pb.WatchRequest{Names: []string{"a", "a"}}, "names[1]", "is there twice"},
			{"Watch: both", &pb.WatchRequest{Names: []string{"a"}, Selector: &pb.Selector{}}, "selector", "allowed: one of them"},
			{"Watch: statuses", &pb.WatchRequest{Selector: &pb.Selector{Statuses: serving}}, "selector.statuses", "Watch follows every status"},
			{"Watch: a heartbeat", &pb.WatchRequest{Heartbeat: durationpb.New(1)}, "heartbeat", "allowed: 1s to 1m0s"},
			{"Watch: a token", &pb.WatchRequest{ResumeToken: long(129)}, "resume_token", "allowed: at most 128"},
		}
	})
}
