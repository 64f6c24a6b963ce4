package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// checkGroupBy returns an error if the command status cannot count the instances of names by the
// value of --group-by. format is the value of --output. others has the flags that have no meaning beside
// --group-by, and whether they are given.
func checkGroupBy(cmd *cobra.Command, by, format string, names []string, others map[string]bool) error {
	var errs []error
	if _, err := wire.ParseGroupBy(by); err != nil {
		errs = append(errs, usage(cmd, "--group-by: %w", err))
	}
	if format == formatShort || format == formatTSV || format == formatName {
		errs = append(errs, usage(cmd, "--output: is %s beside --group-by; allowed there: table, json, jsonl", format))
	}
	for _, flag := range []string{"all", "wait", "where"} {
		if others[flag] {
			errs = append(errs, usage(cmd, "--%s: is given beside --group-by; allowed: one of them", flag))
		}
	}
	for _, name := range names {
		if id := health.ParseID(name); id.Instance != "" || id.Service == health.MeshName {
			errs = append(errs, usage(cmd, "%q: --group-by counts the instances of services; allowed: SERVICE", name))
		}
	}
	return errors.Join(errs...)
}

// statusGroups prints how many instances of the services named have which status, by the value of
// one field. No name means all services.
func (a *app) statusGroups(ctx context.Context, conn *connection, out *output, names []string, by string) error {
	groups, err := conn.groups(ctx, names, by)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		return a.sayNoGroups(ctx, conn, names)
	}
	if out.json() {
		for _, g := range groups {
			if err := printJSON(a.stdout, g); err != nil {
				return err
			}
		}
		return nil
	}
	return a.printGroups(out, groups, by)
}

// sayNoGroups says why there is no group: nothing is registered, or no name is.
func (a *app) sayNoGroups(ctx context.Context, conn *connection, names []string) error {
	for _, name := range names {
		switch h, err := conn.check(ctx, name); {
		case err != nil:
			return err
		case h == nil:
			return conn.unknownName(ctx, name)
		}
	}
	a.say("No instance is registered.")
	return nil
}

// groups returns all groups of the instances of services, ordered by value.
func (conn *connection) groups(ctx context.Context, services []string, by string) ([]*pb.Group, error) {
	req := &pb.ListRequest{GroupBy: by, PageSize: wire.MaxPage, Selector: &pb.Selector{Services: services}}
	var all []*pb.Group
	for {
		page, err := conn.health.List(ctx, req)
		if err != nil {
			return nil, conn.callError(err)
		}
		if len(page.GetEntries()) > 0 { // a server of an earlier version ignores group_by
			return nil, fmt.Errorf("the coordinator at %s is too old to count instances by %s; update it", conn.address, by)
		}
		all = append(all, page.GetGroups()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

// groupColumn is one column of the table of groups, with the number that it shows.
type groupColumn struct {
	status health.Status
	number func(*pb.Counts) uint32
}

// groupColumns has a column for each status, the worst first.
var groupColumns = []groupColumn{
	{health.NotServing, (*pb.Counts).GetNotServing},
	{health.Unknown, (*pb.Counts).GetUnknown},
	{health.Degraded, (*pb.Counts).GetDegraded},
	{health.Starting, (*pb.Counts).GetStarting},
	{health.Draining, (*pb.Counts).GetDraining},
	{health.Maintenance, (*pb.Counts).GetMaintenance},
	{health.Serving, (*pb.Counts).GetServing},
}

// printGroups prints a table of groups. It omits the columns of statuses that no instance has.
func (a *app) printGroups(out *output, groups []*pb.Group, by string) error {
	groups = slices.Clone(groups)
	slices.SortStableFunc(groups, worseGroupFirst)
	columns := slices.DeleteFunc(slices.Clone(groupColumns), func(c groupColumn) bool {
		return c.status != health.Serving && !slices.ContainsFunc(groups, func(g *pb.Group) bool { return c.number(g.GetCounts()) > 0 })
	})
	unconfirmed := slices.ContainsFunc(groups, func(g *pb.Group) bool { return g.GetCounts().GetUnconfirmed() > 0 })
	t := table{head: []string{by}}
	for _, c := range columns {
		t.head = append(t.head, c.status.String())
	}
	if unconfirmed {
		t.head = append(t.head, "NOT CONFIRMED")
	}
	for _, g := range groups {
		t.add(groupRow(g, columns, unconfirmed)...)
	}
	return t.print(a.stdout, a.pen(out.colour), a.columns)
}

func groupRow(g *pb.Group, columns []groupColumn, unconfirmed bool) []cell {
	row := []cell{{g.GetValue(), strong}}
	if g.GetValue() == "" {
		row = []cell{{"(none)", faint}}
	}
	for _, c := range columns {
		row = append(row, numberCell(c.number(g.GetCounts()), symbols[c.status].style))
	}
	if unconfirmed {
		row = append(row, numberCell(g.GetCounts().GetUnconfirmed(), warning))
	}
	return row
}

// numberCell returns the table cell of a number. The number 0 is faint.
func numberCell(n uint32, s style) cell {
	if n == 0 {
		s = faint
	}
	return cell{strconv.FormatUint(uint64(n), 10), s}
}

// worseGroupFirst compares two groups: first by their numbers of instances with the worst status,
// the higher number first, and so on with the other statuses.
func worseGroupFirst(a, b *pb.Group) int {
	for _, c := range groupColumns[:len(groupColumns)-1] {
		if x, y := c.number(a.GetCounts()), c.number(b.GetCounts()); x != y {
			if x > y {
				return -1
			}
			return 1
		}
	}
	return 0
}
