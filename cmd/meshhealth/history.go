package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxHistory is the largest value of the flag --limit of the command history.
const maxHistory = 100_000

func historyCommand(a *app) *cobra.Command {
	var (
		t   target
		out output
		h   historyFlags
	)
	cmd := &cobra.Command{
		Use:   "history [SERVICE[/INSTANCE]]",
		Short: "Print stored transitions, newest first",
		Long: `Print stored transitions, newest first: of an instance, of a service with its
instances, of the mesh ("*"), or of everything.

--from and --to limit them to a time: an RFC 3339 time, a local time such as
"2026-03-04 12:00", or a time ago such as 15m or 2d. The order is the order in
which they were stored, also where the clock of the coordinator has stepped back.

A line with ! GAP says how many transitions were not stored at this place.`,
		Example: `  meshhealth history payments
  meshhealth history --from 1h --oldest-first
  meshhealth history --from "2026-03-04 12:00" --to "2026-03-04 12:30"`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, names []string) error {
			req, err := h.request(cmd, a)
			if err := errors.Join(out.check(cmd), err, checkNames(names)); err != nil {
				return err
			}
			req.Name = append(names, "")[0]
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return a.history(ctx, conn, &out, req, h.limit)
			})
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	h.addTo(cmd)
	return cmd
}

// historyFlags are the values of the flags that select transitions.
type historyFlags struct {
	limit       int
	from, to    string
	oldestFirst bool
}

func (h *historyFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().IntVarP(&h.limit, "limit", "n", 50, "print at most this number")
	cmd.Flags().StringVar(&h.from, "from", "", "only transitions since `TIME`, or since so long ago")
	cmd.Flags().StringVar(&h.to, "to", "", "only transitions before `TIME`, or before so long ago")
	cmd.Flags().BoolVar(&h.oldestFirst, "oldest-first", false, "print the oldest first")
}

// request checks the flags, and returns the request for the first page without its name.
func (h *historyFlags) request(cmd *cobra.Command, a *app) (*pb.ListTransitionsRequest, error) {
	var errs []error
	if h.limit < 1 || h.limit > maxHistory {
		errs = append(errs, usage(cmd, "--limit: is %d; allowed: 1 to %d", h.limit, maxHistory))
	}
	now := a.now()
	from, err := parseTime(h.from, now, a.zone)
	if err != nil {
		errs = append(errs, usage(cmd, "--from: %w", err))
	}
	to, err := parseTime(h.to, now, a.zone)
	if err != nil {
		errs = append(errs, usage(cmd, "--to: %w", err))
	}
	req := &pb.ListTransitionsRequest{OldestFirst: h.oldestFirst}
	if !from.IsZero() {
		req.From = timestamppb.New(from)
	}
	if !to.IsZero() {
		req.To = timestamppb.New(to)
	}
	if req.From != nil && req.To != nil && !from.Before(to) {
		errs = append(errs, usage(cmd, "--to: is %s; allowed: a time after --from (%s)", to.In(a.zone).Format(stamp), from.In(a.zone).Format(stamp)))
	}
	return req, errors.Join(errs...)
}

func (a *app) history(ctx context.Context, conn *connection, out *output, req *pb.ListTransitionsRequest, limit int) error {
	name, ranged := req.GetName(), req.GetFrom() != nil || req.GetTo() != nil
	list, err := conn.transitions(ctx, req, limit)
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
		if ranged {
			a.say("Nothing has changed in this time.")
		} else {
			a.say("Nothing has changed yet.")
		}
		return nil
	}
	return a.printHistory(out, list)
}

// transitions returns the first transitions of a request, from as many pages as needed. Their number
// is at most `limit`.
func (conn *connection) transitions(ctx context.Context, req *pb.ListTransitionsRequest, limit int) ([]*pb.Transition, error) {
	var all []*pb.Transition
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
