package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxHistory is the largest value of the flag --limit of the command history.
const maxHistory = 100_000

func historyCommand(a *app) *cobra.Command {
	var (
		t     target
		out   output
		limit int
	)
	cmd := &cobra.Command{
		Use:   "history [SERVICE[/INSTANCE]]",
		Short: "Print stored transitions, newest first",
		Long: `Print stored transitions, newest first: of an instance, of a service with its
instances, of the mesh ("*"), or of everything.

A line with ! GAP says how many transitions were not stored at this place.`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, names []string) error {
			var wrong error
			if limit < 1 || limit > maxHistory {
				wrong = usage(cmd, "--limit: is %d; allowed: 1 to %d", limit, maxHistory)
			}
			if err := errors.Join(out.check(cmd), wrong, checkNames(names)); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return a.history(ctx, conn, &out, append(names, "")[0], limit)
			})
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "print at most this number")
	return cmd
}

func (a *app) history(ctx context.Context, conn *connection, out *output, name string, limit int) error {
	list, err := conn.transitions(ctx, name, limit)
	if err != nil {
		return err
	}
	if len(list) == 0 && name != "" {
		if h, err := conn.check(ctx, name); err != nil {
			return err
		} else if h == nil {
			return conn.unknownName(ctx, name)
		}
	}
	if out.json() {
		for _, t := range list {
			if err := printJSON(a.stdout, t); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		a.say("Nothing has changed yet.")
		return nil
	}
	return a.printHistory(out, list)
}

// transitions returns the newest transitions. Their number is at most `limit`.
func (conn *connection) transitions(ctx context.Context, name string, limit int) ([]*pb.Transition, error) {
	var all []*pb.Transition
	req := &pb.ListTransitionsRequest{Name: name}
	for len(all) < limit {
		req.PageSize = int32(min(limit-len(all), wire.MaxPage))
		page, err := conn.admin.ListTransitions(ctx, req)
		if err != nil {
			return nil, conn.callError(err)
		}
		all = append(all, page.GetTransitions()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	return all, nil
}

// stamp is the format of a time in a history. It includes the day, because a history can be longer
// than a day.
const stamp = "2006-01-02 15:04:05.000"

func (a *app) printHistory(out *output, list []*pb.Transition) error {
	p, now := a.pen(out.colour), a.now()
	t := table{head: []string{"TIME", "AGO", "STATUS", "BEFORE", "NAME", "CAUSE", "WHY"}}
	for _, tr := range list {
		at := tr.GetAt().AsTime()
		when := []cell{{at.In(a.zone).Format(stamp), faint}, {age(now.Sub(at)), plainText}}
		t.add(append(when, transitionCells(p, tr)...)...)
	}
	return t.print(a.stdout, p, a.columns)
}

// transitionCells returns the table cells for a transition, without the cell of the time.
func transitionCells(p pen, t *pb.Transition) []cell {
	if n := t.GetLost(); n > 0 {
		what := fmt.Sprintf("%s not stored here", plural(int(min(n, 1<<31)), "transition"))
		return []cell{{"! GAP", warning}, {}, {}, {}, {what, plainText}}
	}
	if t.GetAction() != pb.Action_ACTION_UNKNOWN {
		return actionCells(p, t)
	}
	before := p.status(t.GetFrom())
	to := p.status(t.GetTo())
	why := t.GetReason()
	if t.GetBy() != "" {
		why = "by " + t.GetBy() + ": " + why
	}
	if t.GetRemoved() {
		to = p.removed()
	}
	before.style = faint
	name := nameOf(&pb.Health{Service: t.GetService(), Instance: t.GetInstance()})
	return []cell{to, before, {name, plainText}, {causeOf(t.GetCause()), plainText}, {why, plainText}}
}
