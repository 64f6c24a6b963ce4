//go:build e2e || soak

package storefaults

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
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

// script is a list of steps.
type script []step

// shortScript makes records of all kinds, replaces and deletes some, and makes the file grow.
var shortScript = script{
	{what: "register", ids: one("pay/a"), text: "first"},
	{what: "register", ids: many("cart", 10), text: "first"},
	{what: "says", ids: one("pay/a"), to: health.Serving},
	{what: "register", ids: one("old/a"), text: "first"},
	{what: "override", ids: one("cart/3"), text: "by ann"},
	{what: "says", ids: one("pay/a"), to: health.NotServing},
	{what: "register", ids: many("cart", 10), text: "second"},
	{what: "override", ids: one("pay/a"), text: "by ben"},
	{what: "clear", ids: one("cart/3"), text: "ann is done"},
	{what: "deregister", ids: one("old/a")},
	{what: "register", ids: many("many", 120), text: "first"},
	{what: "says", ids: one("cart/1"), to: health.Serving},
	{what: "clear", ids: one("pay/a"), text: "ben is done"},
	{what: "says", ids: one("pay/a"), to: health.Degraded},
}

// longSteps is the number of steps of longScript.
const longSteps = 200

// longScript begins with shortScript. Its other steps are random, and always the same.
var longScript = func() script {
	s, held, random := slices.Clone(shortScript), records{}, rand.New(rand.NewPCG(20, 3))
	for i := range s {
		held.apply(&s[i])
	}
	for len(s) < longSteps {
		next := held.randomStep(random, len(s))
		held.apply(&next)
		s = append(s, next)
	}
	return s
}()

// randomStep returns a step that is possible with these records. n is the number of the step, which makes
// its texts and names unique.
func (r records) randomStep(random *rand.Rand, n int) step {
	text, forced, plain := fmt.Sprintf("step %d", n), []string{}, []string{}
	for id, held := range r {
		if base(held) != held {
			forced = append(forced, id.String())
		} else if id.Service == "own" { // nothing registers these again
			plain = append(plain, id.String())
		}
	}
	slices.Sort(forced)
	slices.Sort(plain)
	switch k := random.IntN(10); {
	case k < 2:
		return step{what: "override", ids: one(fmt.Sprintf("cart/%d", random.IntN(10))), text: text}
	case k < 4 && len(forced) > 0:
		return step{what: "clear", ids: one(forced[random.IntN(len(forced))]), text: text}
	case k < 6 && len(plain) > 0:
		return step{what: "deregister", ids: one(plain[random.IntN(len(plain))]), text: text}
	case k < 7:
		return step{what: "register", ids: many([]string{"cart", "many"}[random.IntN(2)], 1+random.IntN(20)), text: text}
	default:
		return step{what: "register", ids: one(fmt.Sprintf("own/%d", n)), text: text}
	}
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
func (s script) after(steps map[int]bool) records {
	r := records{}
	for i := range s {
		if steps[i] && s[i].acknowledged() {
			r.apply(&s[i])
		}
	}
	return r
}

// allowed lists the sets of steps that a store may have when these steps were acknowledged. One more
// step may have been committed without an acknowledgement.
func (s script) allowed(acked map[int]bool) iter.Seq[map[int]bool] {
	return func(yield func(map[int]bool) bool) {
		more := yield(acked)
		for i := range s {
			if !acked[i] && s[i].acknowledged() && more {
				steps := maps.Clone(acked)
				steps[i] = true
				more = yield(steps)
			}
		}
	}
}

// fits checks that the records are the result of the acknowledged steps and at most one more step. It
// returns these steps.
func (s script) fits(held records, acked map[int]bool) (steps map[int]bool, err error) {
	for steps := range s.allowed(acked) {
		if maps.Equal(held, s.after(steps)) {
			return steps, nil
		}
	}
	return nil, fmt.Errorf("the store has %v; the acknowledged steps are %v, which make %v", held, acked, s.after(acked))
}
