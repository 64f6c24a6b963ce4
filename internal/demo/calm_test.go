package demo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

func entry(name string, s health.Status) *client.Entry {
	return &client.Entry{State: health.State{ID: health.ParseID(name), Status: s, Spec: &health.Spec{Zone: "eu-a", Version: name}}}
}

// merge returns what is printed of updates that were received together.
func merge(shown map[health.ID]shownState, entries ...*client.Entry) (printed, hidden, summarized string) {
	var m merger
	m.add(&client.Update{Entries: entries})
	u, h, s := m.update(shown)
	return namesOf(u.Entries), namesOf(h), namesOf(s)
}

func namesOf(entries []*client.Entry) string {
	var names []string
	for _, e := range entries {
		names = append(names, e.ID.String()+" "+e.Status.String())
	}
	return strings.Join(names, ", ")
}

func TestMerge(t *testing.T) {
	const serving, failed = health.Serving, health.NotServing
	many := []*client.Entry{entry("web", failed)}
	for n := range calmLines + 1 {
		many = append(many, entry(fmt.Sprintf("web/%d", n), failed))
	}
	for _, c := range []struct {
		what                        string
		before, now                 []*client.Entry
		printed, hidden, summarized string
	}{
		{"instances before services", nil, []*client.Entry{entry("web", failed), entry("web/a", failed)}, "web/a NOT_SERVING, web NOT_SERVING", "", ""},
		{"the latest state", nil, []*client.Entry{entry("web/a", failed), entry("web/a", serving)}, "web/a SERVING", "", ""},
		{"no change of the status", []*client.Entry{entry("web", serving)}, []*client.Entry{entry("web", serving)}, "", "web SERVING", ""},
		{"there and back", []*client.Entry{entry("web/a", serving)}, []*client.Entry{entry("web/a", failed), entry("web/a", serving)}, "", "web/a SERVING", ""},
		{"a zone of a service", nil, []*client.Entry{entry("web/@eu-a", failed), entry("*/eu-a", failed)}, "*/eu-a NOT_SERVING", "web/@eu-a NOT_SERVING", ""},
		{
			"many instances", nil, many, "web NOT_SERVING",
			"web/0 NOT_SERVING, web/1 NOT_SERVING, web/2 NOT_SERVING, web/3 NOT_SERVING",
			"web/0 NOT_SERVING, web/1 NOT_SERVING, web/2 NOT_SERVING, web/3 NOT_SERVING",
		},
	} {
		shown := map[health.ID]shownState{}
		merge(shown, c.before...)
		printed, hidden, summarized := merge(shown, c.now...)
		if printed != c.printed || hidden != c.hidden || summarized != c.summarized {
			t.Errorf("%s: printed %q, hidden %q, summarized %q\nwant %q, %q, %q", c.what,
				printed, hidden, summarized, c.printed, c.hidden, c.summarized)
		}
	}
}

func TestSummarizeEntries(t *testing.T) {
	unconfirmed, removed := entry("web/b", health.Serving), entry("web/c", health.Serving)
	unconfirmed.Unconfirmed, removed.Removed = true, true
	for want, entries := range map[string][]*client.Entry{
		"": nil,
		"1 instances: 1 DEGRADED; all zone=eu-a; all version=web/a":                    {entry("web/a", health.Degraded)},
		"3 instances: 1 DEGRADED, 1 SERVING unconfirmed (~), 1 removed; all zone=eu-a": {entry("web/a", health.Degraded), unconfirmed, removed},
		"2 instances: 1 NOT_SERVING, 1 SERVING; all zone=eu-a":                         {entry("web/a", health.NotServing), entry("web/b", health.Serving)},
	} {
		if got := summarizeEntries(entries); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
