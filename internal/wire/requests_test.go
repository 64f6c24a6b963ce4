package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

func repeated(n int, format string) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf(format, i))
	}
	return names
}

func TestWatchRequest(t *testing.T) {
	seconds := func(n int64) *durationpb.Duration { return &durationpb.Duration{Seconds: n} }
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		name string
		req  *pb.WatchRequest
		want []refusal
	}{
		{"everything", nil, nil},
		{"names", &pb.WatchRequest{Names: []string{"", "*", "a", "a/1"}}, nil},
		{"128 names", &pb.WatchRequest{Names: repeated(128, "s%d")}, nil},
		{"129 names", &pb.WatchRequest{Names: repeated(129, "s%d")}, []refusal{{"names", "has 129; allowed: at most 128"}}},
		{"twice", &pb.WatchRequest{Names: []string{"a/1", "b", "a/1"}}, []refusal{{"names[2]", `"a/1" is there twice`}}},
		{"bad names", &pb.WatchRequest{Names: []string{"a b", "", "a/", long, "/1", "*/a b", "*/z1", "pay/@z1", "pay/@", "a b/@z"}}, []refusal{
			{"names[0]", "the service's name has ' ' in it; allowed: 1 to 255"},
			{"names[2]", "the instance's name is empty; allowed"},
			{"names[3]", "has 256 bytes; allowed: 1 to 255"},
			{"names[4]", "the service's name is empty"},
			{"names[5]", "zone has ' ' in it"},
			{"names[8]", "zone is empty"},
			{"names[9]", "the service's name has ' ' in it"},
		}},
		{"names and selector", &pb.WatchRequest{Names: []string{"a"}, Selector: &pb.Selector{}}, []refusal{{"selector", "beside names; allowed: one of them"}}},
		{"selector", &pb.WatchRequest{Selector: &pb.Selector{Services: []string{"a", "*", ""}, Labels: labels(64), Zone: "z"}}, nil},
		{"bad selector", &pb.WatchRequest{Selector: &pb.Selector{Services: []string{"a", "b c"}, Labels: labels(10_000), Zone: long}}, []refusal{
			{"selector.labels", "has 10000; allowed: at most 64"}, {"selector.zone", "has 256 bytes; allowed: at most 63"}, {"selector.services[1]", "has ' ' in it"},
		}},
		{"129 services", &pb.WatchRequest{Selector: &pb.Selector{Services: repeated(129, "s%d")}}, []refusal{{"selector.services", "has 129; allowed: at most 128"}}},
		{"statuses", &pb.WatchRequest{Selector: &pb.Selector{Statuses: []pb.Status{1}}}, []refusal{{"selector.statuses", "Watch follows every status"}}},
		{"no status", &pb.WatchRequest{Selector: &pb.Selector{Statuses: []pb.Status{3}}}, []refusal{
			{"selector.statuses[0]", "is 3; allowed: the statuses"}, {"selector.statuses", "Watch follows"},
		}},
		{"heartbeats", &pb.WatchRequest{Heartbeat: seconds(60), FiguresEvery: seconds(1)}, nil},
		{"too often", &pb.WatchRequest{Heartbeat: seconds(0), FiguresEvery: seconds(0)}, []refusal{
			{"heartbeat", "is 0s; allowed: 1s to 1m0s"}, {"figures_every", "is 0s; allowed: 1s to 1m0s"},
		}},
		{"negative", &pb.WatchRequest{Heartbeat: seconds(-1)}, []refusal{{"heartbeat", "is -1s; allowed: 1s to 1m0s"}}},
		{"no duration", &pb.WatchRequest{Heartbeat: &durationpb.Duration{Nanos: -1, Seconds: 1}}, []refusal{{"heartbeat", "is not a duration"}}},
		{"token too long", &pb.WatchRequest{ResumeToken: long}, []refusal{{"resume_token", "has 256 bytes; allowed: at most 128"}}},
	} {
		_, err := WatchRequest(c.req)
		refuses(t, c.name, err, c.want)
	}
}

func TestWatchIsTakenOver(t *testing.T) {
	w, err := WatchRequest(&pb.WatchRequest{Names: []string{"b/1", "a"}})
	if err != nil || !slices.Equal(w.IDs, []health.ID{{Service: "b", Instance: "1"}, {Service: "a"}}) || w.Heartbeat != DefaultHeartbeat || w.HasToken {
		t.Errorf("%+v, %v", w, err)
	}
}

// A token of another stream, or one nobody can read, is an unknown one: there
// was one, and it holds nothing.
func TestWatchToken(t *testing.T) {
	mine := &pb.WatchRequest{Names: []string{"a"}, Heartbeat: durationpb.New(2 * time.Second)}
	good := Token{Epoch: 1, Revision: 2, Scope: Scope(mine)}
	for name, c := range map[string]struct {
		token string
		want  Token
	}{
		"mine":             {good.Encode(), good},
		"another stream's": {Token{1, 2, Scope(&pb.WatchRequest{Names: []string{"b"}})}.Encode(), Token{}},
		"unreadable":       {"???", Token{}},
	} {
		mine.ResumeToken = c.token
		if w, err := WatchRequest(mine); err != nil || !w.HasToken || w.Token != c.want {
			t.Errorf("%s: %+v %v, %v", name, w.Token, w.HasToken, err)
		}
	}
}

func TestListRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		req  *pb.ListRequest
		want []refusal
	}{
		{"nothing", nil, nil},
		{"whole", &pb.ListRequest{PageSize: 1000, Selector: &pb.Selector{Statuses: []pb.Status{0, 1, 2, 4, 5, 6, 7}}}, nil},
		{"no status", &pb.ListRequest{Selector: &pb.Selector{Statuses: []pb.Status{1, 3, 99}}}, []refusal{
			{"selector.statuses[1]", "is 3; allowed: the statuses"}, {"selector.statuses[2]", "is 99; allowed: the statuses"},
		}},
		{"size too large", &pb.ListRequest{PageSize: 1001}, []refusal{{"page_size", "is 1001; allowed: 1 to 1000, 0 for 100"}}},
		{"size negative", &pb.ListRequest{PageSize: -1}, []refusal{{"page_size", "is -1; allowed: 1 to 1000"}}},
		{"token of Watch", &pb.ListRequest{PageToken: Token{}.Encode()}, []refusal{{"page_token", "is not one that was handed out"}}},
		{"token of another selector", &pb.ListRequest{PageToken: pageTokenOf(7, health.ID{Service: "a"})}, []refusal{{"page_token", "is that of another selector"}}},
		{"token too long", &pb.ListRequest{PageToken: strings.Repeat("A", 2000)}, []refusal{{"page_token", "handed out"}}},
		{"groups", &pb.ListRequest{GroupBy: "label.a/b", Selector: &pb.Selector{Zone: "z"}}, nil},
		{"no field", &pb.ListRequest{GroupBy: "team\x1b"}, []refusal{{"group_by", "; allowed: service, zone, region, version, cause, label.KEY"}}},
		{"no key", &pb.ListRequest{GroupBy: "label."}, []refusal{{"group_by", `key "" is not 1 to 63 of [A-Za-z0-9._/-]`}}},
		{"no label", &pb.ListRequest{GroupBy: "label.a b"}, []refusal{{"group_by", `key "a b" is not 1 to 63 of`}}},
		{"groups of aggregates", &pb.ListRequest{GroupBy: "zone", Selector: &pb.Selector{AggregatesOnly: true}}, []refusal{
			{"selector.aggregates_only", "is set beside group_by, which counts instances; allowed: one of them"},
		}},
		{"token of a list", &pb.ListRequest{GroupBy: "zone", PageToken: pageTokenOf(PageScope((*pb.Selector)(nil)), health.ID{Service: "a"})}, []refusal{
			{"page_token", "is that of another selector or group_by; allowed: the next_page_token of the page before"},
		}},
	} {
		_, err := ListRequest(c.req)
		refuses(t, c.name, err, c.want)
	}
	after := health.ID{Service: "a", Instance: "1"}
	first, err := ListRequest(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ListRequest(&pb.ListRequest{PageToken: first.Token(after), PageSize: 7})
	if err != nil || l.After != after || l.First || l.Size != 7 {
		t.Errorf("%+v, %v", l, err)
	}
	if l, _ := ListRequest(nil); !l.First || l.Size != DefaultPage {
		t.Errorf("%+v", l)
	}
}

func TestSelectorMatches(t *testing.T) {
	spec := &health.Spec{Zone: "z", Labels: map[string]string{"tier": "1", "empty": ""}}
	instance := health.State{ID: health.ID{Service: "a", Instance: "1"}, Status: health.Serving, Spec: spec}
	aggregate := health.State{ID: health.ID{Service: "a"}, Status: health.Serving}
	for _, c := range []struct {
		name                string
		selector            *pb.Selector
		instance, aggregate bool
	}{
		{"everything", nil, true, true},
		{"its service", &pb.Selector{Services: []string{"b", "a"}}, true, true},
		{"another", &pb.Selector{Services: []string{"b"}}, false, false},
		{"its label", &pb.Selector{Labels: map[string]string{"tier": "1"}}, true, false},
		{"another value", &pb.Selector{Labels: map[string]string{"tier": "2"}}, false, false},
		{"a label it lacks", &pb.Selector{Labels: map[string]string{"none": ""}}, false, false},
		{"an empty label", &pb.Selector{Labels: map[string]string{"empty": ""}}, true, false},
		{"its zone", &pb.Selector{Zone: "z"}, true, false},
		{"another zone", &pb.Selector{Zone: "y"}, false, false},
		{"its status", &pb.Selector{Statuses: []pb.Status{1}}, true, true},
		{"another status", &pb.Selector{Statuses: []pb.Status{2}}, false, false},
		{"aggregates", &pb.Selector{AggregatesOnly: true}, false, true},
		{"no services in zones", &pb.Selector{NoServiceZones: true}, true, true},
		{"its zone without services in it", &pb.Selector{NoServiceZones: true, Zone: "z"}, true, false},
	} {
		var v Violations
		s := selector(&v, c.selector)
		if got := s.Matches(&instance); got != c.instance || v.Err() != nil {
			t.Errorf("%s: instance %v, %v", c.name, got, v.Err())
		}
		if got := s.Matches(&aggregate); got != c.aggregate {
			t.Errorf("%s: aggregate %v", c.name, got)
		}
		part := health.State{ID: health.ZoneID("a", "z"), Status: health.Serving}
		inZone := c.aggregate && !c.selector.GetAggregatesOnly() || c.selector.GetZone() == "z"
		if got, want := s.Matches(&part), inZone && !c.selector.GetNoServiceZones(); got != want {
			t.Errorf("%s: what it has in its zone %v", c.name, got)
		}
		zone := health.State{ID: health.ZoneID(health.MeshName, "z"), Status: health.Serving}
		if got, want := s.Matches(&zone), inZone && len(c.selector.GetServices()) == 0; got != want {
			t.Errorf("%s: the zone %v", c.name, got)
		}
		if got := s.Names(); len(got) != len(c.selector.GetServices()) {
			t.Errorf("%s: names %v", c.name, got)
		}
	}
}

func TestParseInstance(t *testing.T) {
	for name, want := range map[string]bool{"a/1": true, "a/1:80": true, "a": false, "a/": false, "": false, "*": false, "a/b/c": false, "*/z": false, "a/@z": false} {
		if _, err := ParseInstance(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestListen(t *testing.T) {
	for address, want := range map[string]bool{
		":0": true, "127.0.0.1:9090": true, "[::1]:80": true, "host:80": true,
		"": false, "host": false, ":http": false, ":65536": false, ":-1": false, "a b:80": false,
	} {
		if err := CheckListen(address); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
	}
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:80": true, "[::1]:80": true, "localhost:80": true,
		":80": false, "0.0.0.0:80": false, "10.0.0.1:80": false, "localhost": false, "localhost.evil:80": false,
	} {
		if got := IsLoopback(address); got != want {
			t.Errorf("%q on loopback: %v", address, got)
		}
	}
}
