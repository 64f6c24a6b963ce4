package grpchealth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// groupFields are the values of group_by, each with what it reads from an entry of List.
var groupFields = map[string]func(*pb.Health) string{
	"service":    (*pb.Health).GetService,
	"zone":       (*pb.Health).GetZone,
	"region":     (*pb.Health).GetRegion,
	"version":    (*pb.Health).GetVersion,
	"cause":      func(h *pb.Health) string { return health.CauseFromWire(int32(h.GetCause())).String() },
	"label.team": func(h *pb.Health) string { return h.GetLabels()["team"] },
}

// randomMesh publishes instances, services and zones with few different values.
func randomMesh(w *world, r *rand.Rand) {
	pick := func(values ...string) string { return values[r.IntN(len(values))] }
	var all []health.State
	for i := range r.IntN(60) {
		s := is(fmt.Sprintf("%s/%d", pick("pay", "shop", "open", "hidden"), i), health.Statuses()[r.IntN(len(health.Statuses()))])
		s.Cause, s.Unconfirmed = health.Cause(1+r.IntN(int(health.NumCauses)-1)), r.IntN(3) == 0
		s.Spec = &health.Spec{Zone: pick("", "z1", "z2"), Region: pick("", "eu", "us"), Version: pick("", "1", "2", "ü")}
		if r.IntN(4) > 0 {
			s.Spec.Labels = map[string]string{"team": pick("", "core", "data", "web", "a b"), "x": pick("1", "2")}
		}
		all = append(all, s)
	}
	for _, name := range []string{"pay", "hidden", "*", "*/z1", "pay/@z1", "self"} {
		all = append(all, is(name, health.Degraded))
	}
	w.publish(all...)
}

// randomSelector returns a selector that List accepts with and without group_by.
func randomSelector(r *rand.Rand) *pb.Selector {
	s := &pb.Selector{}
	if r.IntN(3) == 0 {
		s.Services = []string{"pay", "hidden", "nobody"}[:1+r.IntN(3)]
	}
	if r.IntN(4) == 0 {
		s.Labels = map[string]string{"x": "1"}
	}
	if r.IntN(4) == 0 {
		s.Zone = "z1"
	}
	if r.IntN(4) == 0 {
		s.Statuses = []pb.Status{pb.Status_STATUS_SERVING, pb.Status_STATUS_UNKNOWN, pb.Status_STATUS_NOT_SERVING}
	}
	return s
}

// groupsByList counts the groups with the entries of List, as a client without group_by would.
func groupsByList(w *world, s *pb.Selector, value func(*pb.Health) string) []string {
	w.t.Helper()
	l, err := w.mesh.List(w.t.Context(), &pb.ListRequest{Selector: s, PageSize: wire.MaxPage})
	if err != nil {
		w.t.Fatal(err)
	}
	counts := map[string]*pb.Counts{}
	for _, h := range l.GetEntries() {
		if (health.ID{Service: h.GetService(), Instance: h.GetInstance()}).Aggregate() {
			continue
		}
		c := counts[value(h)]
		if c == nil {
			c = &pb.Counts{}
			counts[value(h)] = c
		}
		number := map[pb.Status]*uint32{
			pb.Status_STATUS_SERVING: &c.Serving, pb.Status_STATUS_DEGRADED: &c.Degraded, pb.Status_STATUS_NOT_SERVING: &c.NotServing,
			pb.Status_STATUS_UNKNOWN: &c.Unknown, pb.Status_STATUS_STARTING: &c.Starting, pb.Status_STATUS_DRAINING: &c.Draining,
			pb.Status_STATUS_MAINTENANCE: &c.Maintenance,
		}[h.GetStatus()]
		*number++
		if h.GetUnconfirmed() {
			c.Unconfirmed++
		}
	}
	var lines []string
	for value, c := range counts {
		lines = append(lines, groupLine(&pb.Group{Value: value, Counts: c}))
	}
	slices.Sort(lines)
	return lines
}

func groupLine(g *pb.Group) string {
	c := g.GetCounts()
	return fmt.Sprintf("%s\x00%d %d %d %d %d %d %d, %d", g.GetValue(), c.GetServing(), c.GetDegraded(), c.GetNotServing(),
		c.GetUnknown(), c.GetStarting(), c.GetDraining(), c.GetMaintenance(), c.GetUnconfirmed())
}

// groupPages reads all pages of groups.
func groupPages(w *world, req *pb.ListRequest) (lines []string) {
	w.t.Helper()
	req = proto.CloneOf(req)
	for {
		l, err := w.mesh.List(w.t.Context(), req)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(l.GetEntries()) > 0 || len(l.GetGroups()) > int(req.GetPageSize()) || l.GetRevision() != w.shownRevision() {
			w.t.Fatalf("%v: %v", req, l)
		}
		for _, g := range l.GetGroups() {
			lines = append(lines, groupLine(g))
		}
		if req.PageToken = l.GetNextPageToken(); req.PageToken == "" {
			return lines
		}
		if len(l.GetGroups()) != int(req.GetPageSize()) {
			w.t.Fatalf("%v: a page of %d groups is not the last one", req, len(l.GetGroups()))
		}
	}
}

// TestGroupsAreThoseOfList compares the groups of random meshes with the entries of List, for every
// field, several selectors and sizes of a page. The policy hides one service.
func TestGroupsAreThoseOfList(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 40 {
		w := newWorld(t, Config{Rights: byName, StandardRights: byName})
		randomMesh(w, r)
		for field, value := range groupFields {
			s := randomSelector(r)
			want := groupsByList(w, s, value)
			for _, size := range []int32{1, 2, 3, wire.MaxPage} {
				req := &pb.ListRequest{Selector: s, GroupBy: field, PageSize: size}
				if got := groupPages(w, req); !slices.Equal(got, want) {
					t.Fatalf("seed %d: %v:\n%q, want\n%q", seed, req, got, want)
				}
			}
		}
	}
}

// TestGroupPageIsBounded: a page with many long values ends early.
func TestGroupPageIsBounded(t *testing.T) {
	w := newWorld(t, Config{})
	var all []health.State
	for i := range wire.MaxPage {
		s := is(fmt.Sprintf("pay/%d", i), health.Serving)
		s.Spec = &health.Spec{Labels: map[string]string{"team": fmt.Sprintf("%04d%s", i, strings.Repeat("x", wire.MaxLabelValue-4))}}
		all = append(all, s)
	}
	w.publish(all...)
	groups := 0
	for token, pages := "", 0; ; pages++ {
		l, err := w.mesh.List(t.Context(), &pb.ListRequest{GroupBy: "label.team", PageSize: wire.MaxPage, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if n := proto.Size(l); n > wire.MaxPageBytes+1024 {
			t.Errorf("a page of %d bytes", n)
		}
		groups += len(l.GetGroups())
		if token = l.GetNextPageToken(); token == "" {
			if groups != wire.MaxPage || pages < 2 {
				t.Errorf("%d groups on %d pages", groups, pages+1)
			}
			return
		}
	}
}

// TestGroupTokenIsBound: a token of another selector, of another field, or of a list is refused.
func TestGroupTokenIsBound(t *testing.T) {
	w := newWorld(t, Config{})
	w.publish(labelled("a/1", "x"), labelled("a/2", "y"), labelled("b/1", "z"))
	first := &pb.ListRequest{GroupBy: "label.env", PageSize: 1}
	l, err := w.mesh.List(t.Context(), first)
	if err != nil || l.GetNextPageToken() == "" {
		t.Fatal(l, err)
	}
	for _, other := range []*pb.ListRequest{
		{GroupBy: "zone"}, {GroupBy: "label.other"}, {}, {GroupBy: "label.env", Selector: &pb.Selector{Services: []string{"a"}}},
	} {
		other.PageToken = l.GetNextPageToken()
		_, err := w.mesh.List(t.Context(), other)
		wantCode(t, err, codes.InvalidArgument)
	}
	listed, err := w.mesh.List(t.Context(), &pb.ListRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	first.PageToken = listed.GetNextPageToken()
	_, err = w.mesh.List(t.Context(), first)
	wantCode(t, err, codes.InvalidArgument)
}
