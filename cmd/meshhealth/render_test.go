package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

const escape = "\x1b[31mred"

// entry returns an entry whose status has lasted for this time.
func entry(name string, s pb.Status, c pb.Cause, lasted time.Duration, reason string) *pb.Health {
	service, instance, _ := strings.Cut(name, "/")
	return &pb.Health{
		Service: service, Instance: instance, Status: s, Cause: c, Reason: reason,
		Age: durationpb.New(lasted), At: timestamppb.New(noon),
	}
}

// entriesOf returns what a Watch yields for these messages.
func entriesOf(messages ...*pb.Health) (entries []*client.Entry) {
	for _, m := range messages {
		entries = append(entries, client.EntryOf(m))
	}
	return entries
}

// mesh returns entries with one of each kind.
func mesh() []*pb.Health {
	whole := entry("*", pb.Status_STATUS_DEGRADED, pb.Cause_CAUSE_WARNED, 2*time.Minute+14*time.Second, "")
	pay := entry("payments", pb.Status_STATUS_DEGRADED, pb.Cause_CAUSE_WARNED, 2*time.Minute, "")
	pay.Counts = &pb.Counts{Serving: 1, NotServing: 1, Draining: 1}
	ledger := entry("ledger-of-a-long-name", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK, 26*time.Hour, "")
	ledger.Counts = &pb.Counts{Serving: 2}
	doubt := entry("ledger-of-a-long-name/b", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK, 26*time.Hour, "no route to host")
	doubt.Unconfirmed, doubt.NextAt, doubt.NextCause = true, timestamppb.New(noon.Add(12*time.Second)), pb.Cause_CAUSE_UNREACHABLE
	forced := entry("payments/c", pb.Status_STATUS_MAINTENANCE, pb.Cause_CAUSE_FORCED, 5*time.Second, "")
	forced.Override = &pb.Override{Status: pb.Status_STATUS_MAINTENANCE, Author: "kim", Reason: "new disk", ExpiresAt: timestamppb.New(noon.Add(time.Hour))}
	return []*pb.Health{
		whole, pay, ledger, doubt, forced,
		entry("ledger-of-a-long-name/a", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK, 26*time.Hour, ""),
		entry("payments/a", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK, 0, ""),
		entry("payments/b", pb.Status_STATUS_NOT_SERVING, pb.Cause_CAUSE_REFUSED, 90*time.Second, "dial tcp 10.0.0.7:9000: connect: "+escape+" データベース connection refused"),
		entry("payments/d", pb.Status_STATUS_DRAINING, pb.Cause_CAUSE_DRAINING, time.Second, ""),
	}
}

func found() *findings {
	all := mesh()
	self := entry("", pb.Status_STATUS_DEGRADED, pb.Cause_CAUSE_GUARDED, time.Minute, "half of the mesh cannot be reached; what that would lower is held")
	return &findings{mesh: all[0], self: self, entries: all[1:]}
}

// TestStatusTables checks the output of status in a pipe and on terminals.
func TestStatusTables(t *testing.T) {
	for name, c := range map[string]struct {
		shell
		colour string
		all    bool
	}{
		"pipe":     {colour: "auto"},
		"all":      {colour: "auto", all: true},
		"terminal": {shell: shell{columns: 80}, colour: "auto"},
		"ascii":    {shell: shell{columns: 60, env: map[string]string{"LANG": "C", "NO_COLOR": "1"}}, colour: "auto"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.app().printStatus(&output{format: "table", colour: c.colour}, found(), c.all); err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/status_"+name+".txt", c.out.String()+c.err.String())
		})
	}
}

// large returns findings of a mesh with more services than one table has.
func large() *findings {
	f := &findings{
		mesh: entry("*", isDegraded, pb.Cause_CAUSE_WARNED, 2*time.Minute+14*time.Second, ""), self: entry("", isServing, pb.Cause_CAUSE_OK, time.Hour, ""),
		state: &pb.GetCoordinatorResponse{PollCoverage: 1, Guards: []*pb.Guard{{}}},
	}
	add := func(name string, status pb.Status, cause pb.Cause, lasted time.Duration, reason, root string, affected uint32, counts *pb.Counts) {
		h := entry(name, status, cause, lasted, reason)
		h.Root, h.Affected, h.Counts = root, affected, counts
		f.entries = append(f.entries, h)
	}
	one := &pb.Counts{NotServing: 1}
	add("db.primary", isNotServing, pb.Cause_CAUSE_FAILED, 136*time.Second, "0 of 1 routable, 1 NOT_SERVING", "", 13, one)
	add("db.primary/pg-0", isNotServing, pb.Cause_CAUSE_REFUSED, 136*time.Second, "connection refused", "", 0, nil)
	add("cache.sessions", isDegraded, pb.Cause_CAUSE_WARNED, 48*time.Second, "5 of 6 routable, 1 NOT_SERVING", "", 2, &pb.Counts{Serving: 5, NotServing: 1})
	add("search.v1.SearchServiceWithALongName", isNotServing, pb.Cause_CAUSE_FAILED, 362*time.Second, "0 of 6 routable, 6 NOT_SERVING", "", 0, &pb.Counts{NotServing: 6})
	add("geo.v1.Geo", pb.Status_STATUS_UNKNOWN, pb.Cause_CAUSE_TLS, 70*time.Second, "certificate expired 3h ago", "", 0, &pb.Counts{Unknown: 2})
	add("*/eu-1", isNotServing, pb.Cause_CAUSE_FAILED, time.Minute, "1 of 6 routable", "", 0, &pb.Counts{NotServing: 5, Serving: 1})
	add("*/eu-2", isDegraded, pb.Cause_CAUSE_WARNED, time.Minute, "", "", 0, nil)
	add("old", pb.Status_STATUS_MAINTENANCE, pb.Cause_CAUSE_FORCED, time.Hour, "", "", 0, one)
	for i := range 15 {
		root := "db.primary"
		if i >= 13 {
			root = "cache.sessions"
		}
		add(fmt.Sprintf("symptom-%02d", i), isDegraded, pb.Cause_CAUSE_FAILED, time.Minute, "", root, 0, one)
	}
	for i := range 25 {
		add(fmt.Sprintf("other-%02d", i), isDegraded, pb.Cause_CAUSE_WARNED, time.Minute, "", "", 0, one)
	}
	for i := range 10 {
		add(fmt.Sprintf("well-%02d", i), isServing, pb.Cause_CAUSE_OK, time.Hour, "", "", 0, &pb.Counts{Serving: 1})
		add(fmt.Sprintf("well-%02d/a", i), isServing, pb.Cause_CAUSE_OK, time.Hour, "", "", 0, nil)
	}
	f.entries[len(f.entries)-1].Unconfirmed = true
	return f
}

// TestStatusOfALargeMesh checks the sections of roots and others in every format and width.
func TestStatusOfALargeMesh(t *testing.T) {
	for name, c := range map[string]struct {
		shell
		output
		plain, all bool
	}{
		"60":       {shell: shell{columns: 60}, output: output{format: "table", colour: "never"}},
		"80":       {shell: shell{columns: 80}, output: output{format: "table", colour: "never"}},
		"100":      {shell: shell{columns: 100}, output: output{format: "table", colour: "never"}},
		"200":      {shell: shell{columns: 200}, output: output{format: "table", colour: "never"}},
		"all":      {shell: shell{columns: 80}, output: output{format: "table", colour: "never"}, all: true},
		"colour":   {shell: shell{columns: 100}, output: output{format: "table", colour: "auto"}},
		"no_color": {shell: shell{columns: 100, env: map[string]string{"NO_COLOR": "1"}}, output: output{format: "table", colour: "auto"}},
		"pipe":     {output: output{format: "table", colour: "auto"}},
		"plain":    {shell: shell{columns: 60}, output: output{format: "table", colour: "auto"}, plain: true},
		"ascii":    {shell: shell{columns: 80, env: map[string]string{"LC_CTYPE": "POSIX"}}, output: output{format: "table", colour: "never"}},
		"short":    {output: output{format: formatShort}},
		"tsv":      {shell: shell{columns: 40}, output: output{format: formatTSV}},
		"name":     {shell: shell{columns: 40}, output: output{format: formatName}},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.app()
			a.plain = c.plain
			if err := a.printStatus(&c.output, large(), c.all); err != nil {
				t.Fatal(err)
			}
			text := c.shell.out.String()
			golden(t, "testdata/status_large_"+name+".golden", text+c.shell.err.String())
			for line := range strings.Lines(text) {
				if n := columnsOfPainted(strings.TrimSuffix(line, "\n")); c.format == "table" && c.columns > 0 && !c.plain && n > c.columns {
					t.Errorf("a row has %d columns: %q", n, line)
				}
			}
		})
	}
}

// TestStatusOfAWellMesh checks that one line suffices if all is well, in a mesh of any size.
func TestStatusOfAWellMesh(t *testing.T) {
	for _, services := range []int{1, fewServices, fewServices + 1} {
		f := &findings{mesh: entry("*", isServing, pb.Cause_CAUSE_OK, 76*time.Hour, ""), self: entry("", isServing, pb.Cause_CAUSE_OK, time.Hour, "")}
		for i := range services {
			f.entries = append(f.entries, entry(fmt.Sprintf("s%d", i), isServing, pb.Cause_CAUSE_OK, time.Hour, ""), entry(fmt.Sprintf("s%d/a", i), isServing, pb.Cause_CAUSE_OK, time.Hour, ""))
		}
		var s shell
		if err := s.app().printStatus(&output{format: "table", colour: "auto"}, f, false); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("● SERVING for 3d4h  %s, %s\n", plural(services, "service"), plural(services, "instance")); s.out.String() != want {
			t.Errorf("%q, want %q", s.out.String(), want)
		}
		for what, change := range map[string]func(){
			"an unconfirmed instance":        func() { f.entries[1].Unconfirmed = true },
			"a coordinator that is DEGRADED": func() { f.self.Status = isDegraded },
		} {
			s.out.Reset()
			change()
			if err := s.app().printStatus(&output{format: "table", colour: "auto"}, f, false); err != nil {
				t.Fatal(err)
			}
			if strings.Count(s.out.String(), "\n") < 2 {
				t.Errorf("%s is hidden: %q", what, s.out.String())
			}
		}
	}
}

// TestColour checks when colours are used: on terminals, or if asked for; NO_COLOR counts.
func TestColour(t *testing.T) {
	for _, c := range []struct {
		columns    int
		mode, name string
		want       bool
	}{
		{0, "auto", "", false},
		{80, "auto", "", true},
		{80, "auto", "NO_COLOR", false},
		{80, "never", "", false},
		{0, "always", "", true},
		{80, "always", "NO_COLOR", true},
	} {
		s := shell{columns: c.columns, env: map[string]string{c.name: "1"}}
		if got := s.app().pen(c.mode).colour; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestHistoryTable checks the output of history, with a gap.
func TestHistoryTable(t *testing.T) {
	at := func(ago time.Duration) *timestamppb.Timestamp { return timestamppb.New(noon.Add(-ago)) }
	list := []*pb.Transition{
		{Service: "payments", Instance: "a", From: pb.Status_STATUS_NOT_SERVING, To: pb.Status_STATUS_SERVING, Cause: pb.Cause_CAUSE_OK, At: at(3 * time.Second)},
		{Lost: 1200, At: at(time.Minute)},
		{Service: "payments", From: pb.Status_STATUS_SERVING, To: pb.Status_STATUS_NOT_SERVING, Cause: pb.Cause_CAUSE_FAILED, At: at(time.Hour), Reason: escape},
		{Service: "payments", Instance: "z", From: pb.Status_STATUS_DRAINING, To: pb.Status_STATUS_DRAINING, Removed: true, At: at(30 * time.Hour)},
	}
	var s shell
	if err := s.app().printHistory(&output{format: "table", colour: "auto"}, list); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/history.txt", s.out.String())
}

// TestWatchLines checks the output of watch: a snapshot, changes, an outage and its end.
func TestWatchLines(t *testing.T) {
	var s shell
	w := newWatchPrinter(s.app(), &watchFlags{output: output{format: "table", colour: "auto"}}, []string{"payments", "nobody"})
	all := mesh()
	take := func(u client.Update) {
		u.Received = noon
		if err := w.print(&u); err != nil {
			t.Fatal(err)
		}
	}
	take(client.Update{Snapshot: true, SnapshotEnd: true, Entries: entriesOf(all...)})
	down := entry("payments/a", pb.Status_STATUS_NOT_SERVING, pb.Cause_CAUSE_TIMEOUT, 0, "no answer within 2s")
	take(client.Update{Entries: entriesOf(down)})
	take(client.Update{Entries: entriesOf(down)}) // no visible change
	take(client.Update{Stale: true, Err: errNoAnswer})
	take(client.Update{Gap: true, Snapshot: true, SnapshotEnd: true, Entries: entriesOf(append(all[:6:6], down)...)})
	golden(t, "testdata/watch.txt", s.out.String()+"-- stderr --\n"+s.err.String())
}

// TestNothingObeysTheNetwork checks that no control character of a received text is printed.
func TestNothingObeysTheNetwork(t *testing.T) {
	nasty := entry("payments", pb.Status_STATUS_NOT_SERVING, pb.Cause_CAUSE_FAILED, 0, "a\x1b]0;title\x07b\u202ec\r\nd\x00")
	nasty.Root = escape
	nasty.Override = &pb.Override{Author: escape, Reason: escape}
	nasty.Checks = []*pb.CheckHealth{{Name: escape, Reason: escape}}
	for _, format := range []string{"table", "json"} {
		var s shell
		a := s.app()
		f := &findings{asked: []*pb.Health{nasty}, entries: []*pb.Health{nasty}}
		if err := a.printStatus(&output{format: format, colour: "never"}, f, true); err != nil {
			t.Fatal(err)
		}
		if err := printJSON(a.stdout, nasty); err != nil {
			t.Fatal(err)
		}
		w := newWatchPrinter(a, &watchFlags{output: output{format: format, colour: "never"}}, nil)
		if err := w.print(&client.Update{Snapshot: true, SnapshotEnd: true, Entries: entriesOf(nasty), Received: noon}); err != nil {
			t.Fatal(err)
		}
		a.say("%s %v", escape, nasty.GetReason())
		if text := s.out.String() + s.err.String(); strings.ContainsAny(text, "\x1b\x07\r\x00\u202e") {
			t.Errorf("%s: %q", format, text)
		}
	}
}

// TestJSON checks that each line is an object of the proto.
func TestJSON(t *testing.T) {
	var s shell
	for _, h := range mesh() {
		if err := printJSON(s.app().stdout, h); err != nil {
			t.Fatal(err)
		}
	}
	lines := bytes.Split(bytes.TrimSpace(s.out.Bytes()), []byte("\n"))
	if len(lines) != len(mesh()) {
		t.Fatalf("%d lines for %d entries", len(lines), len(mesh()))
	}
	for _, line := range lines {
		var h pb.Health
		if err := protojson.Unmarshal(line, &h); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil || fields["status"] == nil {
			t.Errorf("%s: %v, status %v", line, err, fields["status"])
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 999 * time.Millisecond: "0s", 12 * time.Second: "12s", 90 * time.Second: "1m30s", time.Minute: "1m", 600 * time.Second: "10m", 134 * time.Second: "2m14s",
		3*time.Hour + 5*time.Minute: "3h5m", 148 * time.Hour: "6d4h", 24 * time.Hour: "1d",
	} {
		if got := age(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
