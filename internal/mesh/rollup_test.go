package mesh

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// TestAggregate checks the rules available and worst for some counts.
func TestAggregate(t *testing.T) {
	for _, c := range []struct {
		name            string
		counted, others statusCounts
		available       health.Status
		worst           health.Status
	}{
		{"nobody registered", statusCounts{}, statusCounts{}, health.Unknown, health.Unknown},
		{"1 of 1 Degraded", statusCounts{health.Degraded: 1}, statusCounts{}, health.Degraded, health.Degraded},
		{"3 Serving + 7 Starting", statusCounts{health.Serving: 3}, statusCounts{health.Starting: 7}, health.Serving, health.Serving},
		{"2 of 4 NotServing", statusCounts{health.Serving: 2, health.NotServing: 2}, statusCounts{}, health.Degraded, health.NotServing},
		{"3 of 4 NotServing", statusCounts{health.Serving: 1, health.NotServing: 3}, statusCounts{}, health.NotServing, health.NotServing},
		{"2 of 3 NotServing", statusCounts{health.Serving: 1, health.NotServing: 2}, statusCounts{}, health.NotServing, health.NotServing},
		{"1 of 3 NotServing", statusCounts{health.Serving: 2, health.NotServing: 1}, statusCounts{}, health.Degraded, health.NotServing},
		{"1 old Draining + 1 new Starting", statusCounts{}, statusCounts{health.Draining: 1, health.Starting: 1}, health.Starting, health.Starting},
		{"all draining", statusCounts{}, statusCounts{health.Draining: 2, health.Maintenance: 1}, health.Draining, health.Draining},
		{"all in maintenance", statusCounts{}, statusCounts{health.Maintenance: 2}, health.Maintenance, health.Maintenance},
		{"1 Serving + 3 Unknown", statusCounts{health.Serving: 1, health.Unknown: 3}, statusCounts{}, health.Unknown, health.Unknown},
		{"1 Serving + 1 Unknown", statusCounts{health.Serving: 1, health.Unknown: 1}, statusCounts{}, health.Degraded, health.Unknown},
		{"all Unknown", statusCounts{health.Unknown: 2}, statusCounts{}, health.Unknown, health.Unknown},
		{"none left", statusCounts{health.NotServing: 2}, statusCounts{health.Draining: 1}, health.NotServing, health.NotServing},
		{"one Degraded", statusCounts{health.Serving: 9, health.Degraded: 1}, statusCounts{}, health.Degraded, health.Degraded},
		{"too long Starting", statusCounts{health.Serving: 1, health.Starting: 1}, statusCounts{}, health.Degraded, health.Serving},
		{"nothing else", statusCounts{health.Starting: 2}, statusCounts{}, health.NotServing, health.Starting},
		{"not yet answered, NotServing", statusCounts{}, statusCounts{health.NotServing: 1}, health.Starting, health.Starting},
	} {
		all := c.counted
		for i, n := range c.others {
			all[i] += n
		}
		if got := evaluateRule(health.Available, &all, &c.counted, 50, false); got != c.available {
			t.Errorf("%s, available: %s, want %s", c.name, got, c.available)
		}
		if got := evaluateRule(health.Worst, &all, &c.counted, 50, false); got != c.worst {
			t.Errorf("%s, worst: %s, want %s", c.name, got, c.worst)
		}
	}
}

func TestMinAvailable(t *testing.T) {
	for _, c := range []struct {
		serving, notServing, percent int
		want                         health.Status
	}{
		{1, 99, 1, health.Degraded},
		{0, 1, 1, health.NotServing},
		{1, 999, 1, health.NotServing},
		{99, 1, 100, health.NotServing},
		{99, 1, 99, health.Degraded},
		{2, 1, 67, health.NotServing}, // 2.01 of 3 is 3
		{2, 1, 66, health.Degraded},   // 1.98 of 3 is 2
	} {
		counted := statusCounts{health.Serving: c.serving, health.NotServing: c.notServing}
		if got := evaluateRule(health.Available, &counted, &counted, c.percent, false); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestRuleNames(t *testing.T) {
	for _, r := range []health.Rule{health.Available, health.Worst, health.AtLeast(1), health.AtLeast(3), health.Percent(1), health.Percent(100), health.AtLeast(health.MaxAtLeast)} {
		if back, err := health.ParseRule(r.String()); err != nil || back != r {
			t.Errorf("ParseRule(%s) is %v %v", r, back, err)
		}
	}
	for _, name := range []string{"", "best", "at-least-0", "at-least--1", "at-least-", "at-least-50001", "percent-0", "percent-101", "percent-x"} {
		if r, err := health.ParseRule(name); err == nil {
			t.Errorf("%s is a rule: %v", name, r)
		}
	}
}

// dumbAggregate is a simple model of the rules: it tries each status in turn.
func dumbAggregate(rule health.Rule, all, counted []health.Status, percent int, grows bool) health.Status {
	count := func(list []health.Status, of ...health.Status) (n int) {
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
	leaving := count(all, health.Draining, health.Maintenance)
	switch {
	case len(all) == 0:
		return health.Unknown
	case len(counted) == 0 && leaving < len(all):
		return health.Starting
	case len(counted) == 0 && count(all, health.Draining) > 0:
		return health.Draining
	case len(counted) == 0:
		return health.Maintenance
	}
	if need, ok := dumbNeed(rule, len(counted)); ok {
		coming := len(all) - leaving - len(counted)
		for _, c := range []struct {
			n  int
			is health.Status
		}{
			{count(counted, health.Serving), health.Serving},
			{count(counted, health.Serving, health.Degraded), health.Degraded},
			{count(counted, health.Serving, health.Degraded, health.Unknown), health.Unknown},
			{count(counted, health.Serving, health.Degraded, health.Unknown) + coming, health.Starting},
		} {
			if c.n >= need {
				return c.is
			}
		}
		if grows && strings.HasPrefix(rule.String(), "a") && count(counted, health.Serving, health.Degraded, health.Unknown) == len(counted) {
			return health.Starting
		}
		return health.NotServing
	}
	if count(counted, health.Serving) == len(counted) {
		return health.Serving
	}
	if rule == health.Worst {
		found := health.Starting
		for _, s := range []health.Status{health.Serving, health.Degraded, health.Unknown, health.NotServing} {
			if count(counted, s) > 0 {
				found = s
			}
		}
		return found
	}
	switch {
	case enough(count(counted, health.Serving, health.Degraded)):
		return health.Degraded
	case enough(count(counted, health.Serving, health.Degraded, health.Unknown)):
		return health.Unknown
	}
	return health.NotServing
}

// dumbNeed returns the number of instances that a rule requires, by counting up.
func dumbNeed(rule health.Rule, counted int) (need int, ok bool) {
	if rule == health.AtLeast(1) {
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
		rule := []health.Rule{health.Available, health.Worst, health.AtLeast(p % 8), health.Percent(p)}[kind%4]
		var all, counted []health.Status
		var allBy, countedBy statusCounts
		for _, b := range data {
			s := health.Status(b) % health.NumStatuses
			all = append(all, s)
			allBy[s]++
			if counts := b/byte(health.NumStatuses)%2 == 0; counts && s != health.Draining && s != health.Maintenance {
				counted = append(counted, s)
				countedBy[s]++
			}
		}
		if got, want := evaluateRule(rule, &allBy, &countedBy, p, grows), dumbAggregate(rule, all, counted, p, grows); got != want {
			t.Errorf("%s of %v, counted %v, %d %%: %s, want %s", rule, all, counted, p, got, want)
		}
	})
}
