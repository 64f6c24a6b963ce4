package feed

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// registered publishes one change of an instance with a registration.
func (p *publisher) registered(name string, spec *health.Spec, pushed bool) {
	c := p.change(name, health.Serving)
	c.Spec, c.Pushed = spec, pushed
	p.feed.Publish([]health.Change{c})
}

// A reader of registrations waits while only statuses change. Its next step has the change of
// a registration and all later changes.
func TestReaderOfRegistrations(t *testing.T) {
	p := newPublisher(0)
	a, b := &health.Spec{Lease: 1}, &health.Spec{Lease: 2}
	p.registered("a/1", a, false)
	r := p.feed.NewReader(Interest{Registrations: true})
	if s := next(t, r); !s.Snapshot || listed(s.Entries) != "a/1@1" {
		t.Errorf("first: %s, %+v", listed(s.Entries), s)
	}
	for _, c := range []struct {
		what    string
		publish func()
		want    string // the entries of the next step; empty: the reader waits
	}{
		{"another status", func() { p.registered("a/1", a, false) }, ""},
		{"a change of an aggregate", func() { p.publish("a") }, ""},
		{"a removed aggregate", func() { p.publish("a-") }, ""},
		{"another spec", func() { p.registered("a/1", b, false) }, "a/1@5"},
		{"a push", func() { p.registered("a/1", b, true) }, "a/1@6"},
		{"a status of an instance that pushes", func() { p.registered("a/1", b, true) }, ""},
		{"the end of a push", func() { p.registered("a/1", b, false) }, "a/1@8"},
		{"another instance", func() { p.registered("b/1", a, false) }, "b/1@9"},
		{"a removal", func() { p.registered("b/1-", a, false) }, "b/1@10-"},
		{"a registration and a later status", func() { p.registered("b/1", b, false); p.registered("b/1", b, false) }, "b/1@12"},
	} {
		step, woken, _ := polled(r)
		if woken == nil {
			t.Fatalf("before %s: there is %s, want nothing", c.what, listed(step.Entries))
		}
		c.publish()
		select {
		case <-woken:
			if s, news, _ := polled(r); news != nil || listed(s.Entries) != c.want {
				t.Errorf("%s: %+v, want %q", c.what, s, c.want)
			}
		default:
			if c.want != "" {
				t.Errorf("%s: not woken", c.what)
			}
		}
	}
}

// A reader of registrations knows all registrations whenever it would wait, also if the log
// has dropped changes.
func TestReaderOfRegistrationsModel(t *testing.T) {
	type registration struct {
		spec   *health.Spec
		pushed bool
	}
	gaps := 0
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 2))
		p := newPublisher((2 + random.IntN(12)) * perBatch)
		truth, known := map[health.ID]registration{}, map[health.ID]registration{}
		r := p.feed.NewReader(Interest{Registrations: true})
		read := func() {
			for {
				step, woken, _ := polled(r)
				if woken != nil {
					return
				}
				if step.Snapshot {
					clear(known)
				}
				if step.Gap {
					gaps++
				}
				for e := range step.Entries {
					if known[e.ID] = (registration{e.Spec, e.Pushed}); e.Removed {
						delete(known, e.ID)
					}
				}
			}
		}
		for range 300 {
			name := fmt.Sprintf("s%d/%d", random.IntN(4), random.IntN(3))
			id := health.ParseID(name)
			now := truth[id]
			switch random.IntN(12) {
			case 0:
				now.spec = &health.Spec{}
			case 1:
				now.pushed = !now.pushed
			case 2:
				name += "-"
			case 3:
				read()
				if !maps.Equal(known, truth) {
					t.Fatalf("seed %d: knows %v, truth is %v", seed, known, truth)
				}
			}
			if now.spec == nil {
				continue
			}
			p.registered(name, now.spec, now.pushed)
			if truth[id] = now; name != id.String() {
				delete(truth, id)
			}
		}
	}
	if gaps == 0 {
		t.Error("the log dropped no change of a registration before a reader read it")
	}
}
