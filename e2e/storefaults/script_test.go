//go:build e2e || soak

package storefaults

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// step is one thing that is asked of the registry.
type step struct {
	what string // register, deregister, override, clear, or says: what an instance says
	ids  []health.ID
	text string // tells this step's records from those of others
	to   health.Status
}

func one(name string) []health.ID { return []health.ID{health.ParseID(name)} }

func many(service string, n int) (ids []health.ID) {
	for i := range n {
		ids = append(ids, health.ID{Service: service, Instance: strconv.Itoa(i)})
	}
	return ids
}

// script makes a file with all kinds of records, takes some over and away, and
// makes it grow.
var script = []step{
	{what: "register", ids: one("pay/a"), text: "first"},
	{what: "register", ids: many("cart", 10), text: "first"},
	{what: "says", ids: one("pay/a"), to: health.Serving},
	{what: "register", ids: one("old/a"), text: "first"},
	{what: "override", ids: one("cart/3"), text: "by ann"},
	{what: "says", ids: one("pay/a"), to: health.NotServing},
	{what: "register", ids: many("cart", 10), text: "second"},
	{what: "override", ids: one("pay/a"), text: "by ben"},
	{what: "clear", ids: one("cart/3")},
	{what: "deregister", ids: one("old/a")},
	{what: "register", ids: many("many", 120), text: "first"},
	{what: "says", ids: one("cart/1"), to: health.Serving},
	{what: "clear", ids: one("pay/a")},
	{what: "says", ids: one("pay/a"), to: health.Degraded},
}

// acknowledged reports whether the registry answers a step only when it is
// durable.
func (s *step) acknowledged() bool { return s.what != "says" }

func (s *step) registrations() (all []wire.Registration) {
	for i, id := range s.ids {
		all = append(all, wire.Registration{ID: id, Spec: health.Spec{
			Address: fmt.Sprintf("127.0.0.1:%d", 1000+i), Version: s.text, Static: true,
		}})
	}
	return all
}

func (s *step) override() *health.Override {
	return &health.Override{Status: health.Maintenance, Author: s.text, Reason: s.text, SetAt: time.Unix(1, 0)}
}

// records are what a store should hold: of each instance the text of the
// registration, and of the override if there is one.
type records map[health.ID]string

// apply is what a step comes to.
func (r records) apply(s *step) {
	for _, id := range s.ids {
		held, there := r[id]
		switch {
		case s.what == "register" && !there:
			r[id] = s.text
		case s.what == "register":
			r[id] = s.text + held[len(base(held)):]
		case s.what == "deregister":
			delete(r, id)
		case !there:
		case s.what == "override":
			r[id] = base(held) + "," + s.text
		case s.what == "clear":
			r[id] = base(held)
		}
	}
}

// base is the registration's part.
func base(held string) string {
	for i, c := range held {
		if c == ',' {
			return held[:i]
		}
	}
	return held
}

// after returns what these steps of the script come to, in its order.
func after(steps map[int]bool) records {
	r := records{}
	for i := range script {
		if steps[i] && script[i].acknowledged() {
			r.apply(&script[i])
		}
	}
	return r
}

// allowed lists what a store may hold when these steps were acknowledged: they,
// and wholly or not at all one more whose end nobody knows.
func allowed(acked map[int]bool) []records {
	all := []records{after(acked)}
	for i := range script {
		if acked[i] {
			continue
		}
		more := maps.Clone(acked)
		more[i] = true
		all = append(all, after(more))
	}
	return all
}
