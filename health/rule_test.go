package health

import (
	"fmt"
	"strings"
	"testing"
)

type tallies = [NumStatuses]int

// The rows the rules must hold. What counts is beside what does not.
func TestAggregate(t *testing.T) {
	for _, c := range []struct {
		name            string
		counted, others tallies
		available       Status
		worst           Status
	}{
		{"nobody registered", tallies{}, tallies{}, Unknown, Unknown},
		{"1 of 1 Degraded", tallies{Degraded: 1}, tallies{}, Degraded, Degraded},
		{"3 Serving + 7 Starting", tallies{Serving: 3}, tallies{Starting: 7}, Serving, Serving},
		{"2 of 4 NotServing", tallies{Serving: 2, NotServing: 2}, tallies{}, Degraded, NotServing},
		{"3 of 4 NotServing", tallies{Serving: 1, NotServing: 3}, tallies{}, NotServing, NotServing},
		{"2 of 3 NotServing", tallies{Serving: 1, NotServing: 2}, tallies{}, NotServing, NotServing},
		{"1 of 3 NotServing", tallies{Serving: 2, NotServing: 1}, tallies{}, Degraded, NotServing},
		{"1 old Draining + 1 new Starting", tallies{}, tallies{Draining: 1, Starting: 1}, Starting, Starting},
		{"all draining", tallies{}, tallies{Draining: 2, Maintenance: 1}, Draining, Draining},
		{"all in maintenance", tallies{}, tallies{Maintenance: 2}, Maintenance, Maintenance},
		{"1 Serving + 3 Unknown", tallies{Serving: 1, Unknown: 3}, tallies{}, Unknown, Unknown},
		{"1 Serving + 1 Unknown", tallies{Serving: 1, Unknown: 1}, tallies{}, Degraded, Unknown},
		{"all Unknown", tallies{Unknown: 2}, tallies{}, Unknown, Unknown},
		{"none left", tallies{NotServing: 2}, tallies{Draining: 1}, NotServing, NotServing},
		{"one Degraded", tallies{Serving: 9, Degraded: 1}, tallies{}, Degraded, Degraded},
		{"too long Starting", tallies{Serving: 1, Starting: 1}, tallies{}, Degraded, Serving},
		{"nothing else", tallies{Starting: 2}, tallies{}, NotServing, Starting},
		{"not yet answered, NotServing", tallies{}, tallies{NotServing: 1}, Starting, Starting},
	} {
		all := c.counted
		for i, n := range c.others {
			all[i] += n
		}
		if got := Available.Aggregate(&all, &c.counted, 50, false); got != c.available {
			t.Errorf("%s, available: %s, want %s", c.name, got, c.available)
		}
		if got := Worst.Aggregate(&all, &c.counted, 50, false); got != c.worst {
			t.Errorf("%s, worst: %s, want %s", c.name, got, c.worst)
		}
	}
}

func TestMinAvailable(t *testing.T) {
	for _, c := range []struct {
		serving, notServing, percent int
		want                         Status
	}{
		{1, 99, 1, Degraded},
		{0, 1, 1, NotServing},
		{1, 999, 1, NotServing},
		{99, 1, 100, NotServing},
		{99, 1, 99, Degraded},
		{2, 1, 67, NotServing}, // 2.01 of 3 is 3
		{2, 1, 66, Degraded},   // 1.98 of 3 is 2
	} {
		counted := tallies{Serving: c.serving, NotServing: c.notServing}
		if got := Available.Aggregate(&counted, &counted, c.percent, false); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestRuleNames(t *testing.T) {
	for _, r := range []Rule{Available, Worst, Any, AtLeast(3), Percent(1), Percent(100), AtLeast(maxAtLeast)} {
		if back, err := ParseRule(r.String()); err != nil || back != r {
			t.Errorf("ParseRule(%s) is %v %v", r, back, err)
		}
	}
	for _, name := range []string{"", "best", "at-least-0", "at-least--1", "at-least-", "at-least-50001", "percent-0", "percent-101", "percent-x"} {
		if r, err := ParseRule(name); err == nil {
			t.Errorf("%s is a rule: %v", name, r)
		}
	}
}

// dumbAggregate restates the rules over a list of instances, by asking each
// status in turn whether it holds.
func dumbAggregate(rule Rule, all, counted []Status, percent int, grows bool) Status {
	count := func(list []Status, of ...Status) (n int) {
		for _, s := range list {
			for _, o := range of {
				if s == o {
					n++
				}
			}
		}
		return n
	}
	enough := func(n int) bool { return n >= 1 && n*100 >= percent*len(counted) }
	leaving := count(all, Draining, Maintenance)
	switch {
	case len(all) == 0:
		return Unknown
	case len(counted) == 0 && leaving < len(all):
		return Starting
	case len(counted) == 0 && count(all, Draining) > 0:
		return Draining
	case len(counted) == 0:
		return Maintenance
	}
	if need, ok := dumbNeed(rule, len(counted)); ok {
		coming := len(all) - leaving - len(counted)
		for _, c := range []struct {
			n  int
			is Status
		}{
			{count(counted, Serving), Serving},
			{count(counted, Serving, Degraded), Degraded},
			{count(counted, Serving, Degraded, Unknown), Unknown},
			{count(counted, Serving, Degraded, Unknown) + coming, Starting},
		} {
			if c.n >= need {
				return c.is
			}
		}
		if grows && strings.HasPrefix(rule.String(), "a") && count(counted, Serving, Degraded, Unknown) == len(counted) {
			return Starting
		}
		return NotServing
	}
	if count(counted, Serving) == len(counted) {
		return Serving
	}
	if rule == Worst {
		found := Starting
		for _, s := range []Status{Serving, Degraded, Unknown, NotServing} {
			if count(counted, s) > 0 {
				found = s
			}
		}
		return found
	}
	switch {
	case enough(count(counted, Serving, Degraded)):
		return Degraded
	case enough(count(counted, Serving, Degraded, Unknown)):
		return Unknown
	}
	return NotServing
}

// dumbNeed counts up to how many there must be.
func dumbNeed(rule Rule, counted int) (need int, ok bool) {
	if rule == Any {
		return 1, true
	}
	if n, _ := fmt.Sscanf(rule.String(), "at-least-%d", &need); n == 1 {
		return need, true
	}
	part := 0
	if n, _ := fmt.Sscanf(rule.String(), "percent-%d", &part); n == 0 {
		return 0, false
	}
	need = 1
	for need*100 < part*counted {
		need++
	}
	return need, true
}

func FuzzRule(f *testing.F) {
	f.Add([]byte{1, 1, 2, 3, 12}, uint8(50), uint8(0))
	f.Add([]byte{4, 4}, uint8(0), uint8(1))
	f.Add([]byte{1, 1, 3, 12}, uint8(2), uint8(2))
	f.Add([]byte{1, 2, 3, 12}, uint8(70), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, number, kind uint8) {
		p, grows := 1+int(number)%100, kind >= 128
		rule := []Rule{Available, Worst, AtLeast(p % 8), Percent(p)}[kind%4]
		var all, counted []Status
		var allBy, countedBy tallies
		for _, b := range data {
			s := Status(b) % NumStatuses
			all = append(all, s)
			allBy[s]++
			if counts := b/byte(NumStatuses)%2 == 0; counts && s != Draining && s != Maintenance {
				counted = append(counted, s)
				countedBy[s]++
			}
		}
		if got, want := rule.Aggregate(&allBy, &countedBy, p, grows), dumbAggregate(rule, all, counted, p, grows); got != want {
			t.Errorf("%s of %v, counted %v, %d %%: %s, want %s", rule, all, counted, p, got, want)
		}
	})
}
