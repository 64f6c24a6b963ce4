package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// told is a service as one Watch tells of it.
type told struct {
	w   *watch
	f   *followed
	now time.Time
}

func newTold() *told {
	h := &hub{services: map[string]*followed{}}
	f := &followed{known: known{service: "pay", instances: map[string]*instance{}}, owner: h}
	w := newWatch(h)
	w.services["pay"], w.asked, w.seen = f, map[string]bool{"pay": true}, map[health.ID]bool{}
	return &told{w, f, time.Unix(0, 0)}
}

// entries returns entries from texts such as "a HEALTHY", "b DEGRADED hidden" or "c removed". The
// endpoint of an instance has the port 1 for a, 2 for b, and so on; with "at:a" it is that of a. The
// host is x; with "host:y:1" or "traffic:y:1", the address for health calls or for traffic differs.
func entries(texts ...string) []*client.Entry {
	var list []*client.Entry
	for _, text := range texts {
		name, words, _ := strings.Cut(text, " ")
		e := &client.Entry{State: health.State{ID: health.ID{Service: "pay", Instance: name}, Spec: &health.Spec{Address: "x:1"}}}
		e.Endpoint = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(name[0]-'a'+1))
		for word := range strings.FieldsSeq(words) {
			if at, ok := strings.CutPrefix(word, "at:"); ok {
				e.Endpoint = netip.AddrPortFrom(e.Endpoint.Addr(), uint16(at[0]-'a'+1))
				continue
			}
			if host, ok := strings.CutPrefix(word, "host:"); ok {
				e.Spec.Address = host
				continue
			}
			if host, ok := strings.CutPrefix(word, "traffic:"); ok {
				e.Spec.Traffic.Address = host
				continue
			}
			switch word {
			case "removed":
				e.Removed = true
			case "hidden":
				e.Spec.Address, e.Endpoint = "", netip.AddrPort{}
			case "unresolved":
				e.Endpoint = netip.AddrPort{}
			default:
				e.Route, _ = health.ParseRoute(word)
			}
		}
		list = append(list, e)
	}
	return list
}

// snapshot is an update with a complete snapshot.
func snapshot(epoch uint64, texts ...string) *client.Update {
	return &client.Update{Epoch: epoch, Snapshot: true, SnapshotEnd: true, Entries: entries(texts...)}
}

func change(epoch uint64, texts ...string) *client.Update {
	return &client.Update{Epoch: epoch, Entries: entries(texts...)}
}

// usable applies an update after a time, and returns the instances that get traffic, such as "a1 b2":
// their names and ports.
func (k *told) usable(after time.Duration, u *client.Update) string {
	k.now = k.now.Add(after)
	u.Received = k.now
	k.w.update(k.w.ctx, u)
	var names []string
	for _, r := range route(k.f.endpoints(), place{}) {
		names = append(names, fmt.Sprint(r.instance, r.address.Port()))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestKnown checks which instances are used after a sequence of updates.
func TestKnown(t *testing.T) {
	type step struct {
		after time.Duration
		u     *client.Update
		want  string
	}
	first := step{0, snapshot(1, "a HEALTHY", "b DEGRADED", "c UNHEALTHY"), "a1 b2"}
	for what, steps := range map[string][]step{
		"change":              {first, {0, change(1, "a DRAINING", "c HEALTHY"), "b2 c3"}},
		"removal":             {first, {0, change(1, "a removed"), "b2"}},
		"removal of the last": {first, {0, change(1, "a removed", "b removed", "c removed"), ""}},
		"all not routable":    {first, {0, change(1, "a UNHEALTHY", "b UNHEALTHY"), ""}},
		"gap":                 {first, {0, snapshot(1, "b DEGRADED"), "b2"}},
		"status is not known to the coordinator any more": {
			first,
			{0, snapshot(2, "a NONE", "b NONE", "c NONE"), "a1 b2"},
			{0, change(2, "c HEALTHY"), "a1 b2 c3"},
			{0, change(2, "a UNHEALTHY"), "b2 c3"},
		},
		"address is not known to the coordinator any more": {first, {0, snapshot(2, "a HEALTHY unresolved", "b HEALTHY hidden"), "a1 b2"}},
		"unresolved after a move to another host":          {first, {0, change(1, "a HEALTHY unresolved host:y:1"), "b2"}},
		"unresolved after a move of the traffic":           {first, {0, change(1, "a HEALTHY unresolved traffic:y:1"), "b2"}},
		"unresolved after a move to another port":          {first, {0, change(1, "a HEALTHY unresolved traffic::2"), "b2"}},
		"unresolved, with the same address for traffic":    {first, {0, change(1, "a HEALTHY unresolved traffic::1"), "a1 b2"}},
		"unresolved after a move while it was hidden": {
			first,
			{0, change(1, "a HEALTHY hidden"), "a1 b2"},
			{0, change(1, "a HEALTHY unresolved host:y:1"), "b2"},
		},
		"hidden after an unresolved move": {
			first,
			{0, change(1, "a HEALTHY unresolved host:y:1"), "b2"},
			{0, change(1, "a HEALTHY hidden"), "b2"},
		},
		"coordinator has lost some": {
			first,
			{0, snapshot(2, "b DEGRADED"), "a1 b2"},
			{keepMissing - 1, change(2), "a1 b2"},
			{1, change(2), "b2"},
		},
		"coordinator has lost all": {
			first,
			{0, snapshot(2), "a1 b2"},
			{24 * time.Hour, change(2), "a1 b2"},
			{0, change(2, "b UNHEALTHY"), ""},
		},
		"the lost come back": {
			first,
			{0, snapshot(2, "b DEGRADED"), "a1 b2"},
			{time.Second, change(2, "a HEALTHY"), "a1 b2"},
			{keepMissing, change(2), "a1 b2"},
		},
		"lost twice": {
			first,
			{0, snapshot(2, "b DEGRADED"), "a1 b2"},
			{keepMissing - 1, snapshot(3, "b DEGRADED"), "a1 b2"},
			{1, change(3), "b2"},
		},
		"a lost one has restarted under another name": {
			first,
			{0, snapshot(2, "d UNHEALTHY at:a"), "b2"},
			{0, change(2, "d HEALTHY at:a"), "b2 d1"},
			{0, change(2, "d removed"), "b2"},
		},
		"another name at the address of one that is not lost": {first, {0, change(1, "d UNHEALTHY at:a"), "a1 b2"}},
		"snapshot in parts, interrupted": {
			first,
			{0, &client.Update{Epoch: 1, Snapshot: true, Gap: true, Entries: entries("a HEALTHY")}, "a1 b2"},
			{0, &client.Update{Stale: true, Err: errors.New("away")}, "a1 b2"},
			{0, &client.Update{Epoch: 1, Snapshot: true, Entries: entries("b HEALTHY")}, "a1 b2"},
			{0, snapshot(1, "d HEALTHY"), "b2 d4"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			k := newTold()
			for i, s := range steps {
				if got := k.usable(s.after, s.u); got != s.want {
					t.Fatalf("after step %d the instances are %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

// TestProblems checks which problem channels are told.
func TestProblems(t *testing.T) {
	for texts, want := range map[string]string{
		"":                                     "pay: the coordinator knows no instance of this service",
		"a HEALTHY":                            "",
		"a HEALTHY hidden|b UNHEALTHY":         "pay: " + errHidden.Error(),
		"a HEALTHY|b HEALTHY hidden":           "pay: " + errHidden.Error(),
		"a UNHEALTHY hidden|b DRAINING hidden": "pay: no instance may receive traffic: 1 UNHEALTHY, 1 DRAINING",
		"a NONE|b NONE":                        "pay: no instance may receive traffic: 2 of unknown status",
		"a HEALTHY unresolved":                 "pay: the coordinator has resolved the host name of no instance yet",
	} {
		k := newTold()
		k.usable(0, snapshot(1, strings.FieldsFunc(texts, func(r rune) bool { return r == '|' })...))
		got := ""
		if _, err := k.f.problem(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", texts, got, want)
		}
	}
}

// TestUnusedServices: the number of services without channels is bounded.
func TestUnusedServices(t *testing.T) {
	h := &hub{services: map[string]*followed{}}
	for i := range 3 * maxUnused {
		f := &followed{known: known{service: fmt.Sprint("s", i), instances: map[string]*instance{"a": {}}}, owner: h}
		h.services[f.service] = f
		h.evict(f)
	}
	if len(h.services) != maxUnused {
		t.Errorf("%d services are kept, want %d", len(h.services), maxUnused)
	}
	if keepMissing < wire.MaxTTL/3 {
		t.Error("an instance with the longest lease may not have registered again")
	}
}

// TestProblemOfReplaced: an instance that was lost is no reason to think that the one now at its address
// could be used.
func TestProblemOfReplaced(t *testing.T) {
	k := newTold()
	k.usable(0, snapshot(1, "a HEALTHY"))
	k.usable(0, snapshot(2, "b UNHEALTHY at:a"))
	const want = "pay: no instance may receive traffic: 1 UNHEALTHY"
	if _, err := k.f.problem(); err == nil || err.Error() != want {
		t.Errorf("the problem is %v, want %s", err, want)
	}
}
