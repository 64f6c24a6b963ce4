package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

func stateCommand(a *app) *cobra.Command {
	var (
		t   target
		out output
	)
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Print the state of the coordinator itself",
		Long: `Print the state of the coordinator itself: its status and build, its health score,
tripped guards, how it follows instances, whether it makes polls in time, breakers
of addresses that do not answer, its store, its watchers, and its xDS clients.

The exit code is its own status, as for the command status.`,
		Example: "  meshhealth coordinator state",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(cmd); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return a.state(ctx, conn, &out)
			})
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	return cmd
}

func (a *app) state(ctx context.Context, conn *connection, out *output) error {
	s, err := conn.admin.GetCoordinator(ctx, &pb.GetCoordinatorRequest{})
	if err != nil {
		return conn.callError(err)
	}
	if out.json() {
		err = printJSON(a.stdout, s)
	} else {
		err = a.printState(out, s)
	}
	if code := exitCodeOf(s.GetStatus()); err == nil && code != exitOK {
		return exitCode(code)
	}
	return err
}

func (a *app) printState(out *output, s *pb.GetCoordinatorResponse) error {
	p := a.pen(out.colour)
	var t table
	add := func(name, format string, args ...any) {
		t.add(cell{name, faint}, cell{fmt.Sprintf(format, args...), plainText})
	}
	status := p.status(s.GetStatus())
	status.text = strings.TrimSpace(status.text + " " + s.GetReason())
	t.add(cell{"status", faint}, status)
	add("build", "%s, up for %s", cmp.Or(s.GetBuild(), "unknown"), age(s.GetUptime().AsDuration()))
	add("score", "%s", scoreOf(s.GetScore()))
	add("late", "%s", lateOf(s))
	for _, g := range s.GetGuards() {
		add("guard", "%s", guardOf(g, a.now()))
	}
	if until := s.GetAmnestyUntil(); until != nil {
		add("amnesty", "statuses from before the start are kept, for another %s", age(until.AsTime().Sub(a.now())))
	}
	add("mesh", "%s, %s (%d unconfirmed), %s", plural(int(s.GetServices()), "service"), plural(int(s.GetInstances()), "instance"), s.GetUnconfirmed(), plural(int(s.GetOverrides()), "override"))
	add("followed", "%s", countsOf(s.GetFollowers()))
	add("polls", "%.1f %% made in time", 100*s.GetPollCoverage())
	add("breakers", "%s", countsOf(s.GetBreakers()))
	if open := s.GetOpenTargets(); len(open) > 0 {
		add("", "not closed: %s", strings.Join(open, ", "))
	}
	if flooding := s.GetFloodingInstances(); len(flooding) > 0 {
		add("flooding", "%s: only the latest of each second is used", strings.Join(flooding, ", "))
	}
	add("store", "%s", storeOf(s))
	add("watchers", "%d", s.GetWatchers())
	add("xds", "%s, %s behind, %s rejected", plural(int(s.GetXdsStreams()), "stream"), plural(int(s.GetXdsBehind()), "resource"), plural(int(min(s.GetXdsRejected(), 1<<31)), "response"))
	if unknown := s.GetUnknownServices(); len(unknown) > 0 {
		add("unknown", "the configuration names %s, of which nothing is registered", strings.Join(unknown, ", "))
	}
	return t.print(a.stdout, p, a.columns)
}

func scoreOf(score uint32) string {
	if score == 0 {
		return "0 of 7: well"
	}
	return fmt.Sprintf("%d of 7: time-outs are %d times as long", score, score+1)
}

func lateOf(s *pb.GetCoordinatorResponse) string {
	if s.GetForgivenAge() == nil {
		return "never"
	}
	return age(s.GetForgivenAge().AsDuration()) + " ago; deadlines were moved by as much"
}

func guardOf(g *pb.Guard, now time.Time) string {
	where := "the mesh"
	if g.GetZone() != "" {
		where = "zone " + g.GetZone()
	}
	text := fmt.Sprintf("%s: %d of %d cannot be reached, since %s", where, g.GetDoubted(), g.GetKnown(), age(now.Sub(g.GetSince().AsTime())))
	if g.GetFaded() {
		text += "; what it holds is UNKNOWN by now"
	}
	return text
}

func storeOf(s *pb.GetCoordinatorResponse) string {
	text := cmp.Or(s.GetStoreError(), "takes records")
	if s.GetStoreCommitAge() != nil {
		text += ", its commit takes " + age(s.GetStoreCommitAge().AsDuration()) + " so far"
	}
	if n := s.GetStoreQueue(); n > 0 {
		text += fmt.Sprintf(", %s wait", plural(int(n), "transition"))
	}
	if n := s.GetStoreLost(); n > 0 {
		text += ", " + strconv.FormatUint(n, 10) + " transitions were lost"
	}
	return text
}

// countsOf returns the counts that are not zero as a text, ordered by name.
func countsOf(counts map[string]uint32) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}
