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

// step is one call of the registry.
type step struct {
	what string // register, deregister, override, clear, or says for a report of an instance
	ids  []health.ID
	text string // a text in the records of this step
	to   health.Status
}

func one(name string) []health.ID { return []health.ID{health.ParseID(name)} }

func many(service string, n int) (ids []health.ID) {
	for i := range n {
		ids = append(ids, health.ID{Service: service, Instance: strconv.Itoa(i)})
	}
	return ids
}

// script makes records of all kinds, replaces and deletes some, and makes the file grow.
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

// acknowledged reports whether the registry answers the step only when it is durable.
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

// records is the content of a store: for each instance the text of its registration, and
// after a comma the text of its override, if there is one.
type records map[health.ID]string

// apply does to r what the step does to a store.
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

// base returns the text of the registration.
func base(held string) string {
	for i, c := range held {
		if c == ',' {
			return held[:i]
		}
	}
	return held
}

// after returns the records after these steps, in the order of the script.
func after(steps map[int]bool) records {
	r := records{}
	for i := range script {
		if steps[i] && script[i].acknowledged() {
			r.apply(&script[i])
		}
	}
	return r
}

// allowed lists the records that a store may have when these steps were acknowledged. One
// more step may have been committed without an acknowledgement.
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
