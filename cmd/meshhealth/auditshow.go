package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/internal/audit"
)

// maxAuditLines is the largest value of the flag --limit of `audit show`. So many lines need at most
// 80 MB.
const maxAuditLines = 10_000

func auditShowCommand(a *app) *cobra.Command {
	var (
		s   auditFilter
		out output
	)
	cmd := &cobra.Command{
		Use:   "show [DIR or FILE]",
		Short: "Print the lines of an audit log, newest last",
		Long: `Print the lines of an audit log, newest last. DIR is the folder of the log or the data folder
of the coordinator. Accepted writes and refusals are in the order of their times.

Damaged lines are left out and counted. ` + "`meshhealth audit verify`" + ` says where they are.`,
		Example: `  meshhealth audit show --since 2h
  meshhealth audit show --identity spiffe://example.org/ns/prod/sa/ops --limit 200`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, errPath := auditPath(args)
			if err := errors.Join(out.check(cmd), errPath, s.check(cmd, a)); err != nil {
				return err
			}
			return showAudit(a, &out, path, &s)
		},
	}
	cmd.Flags().IntVarP(&s.limit, "limit", "n", 50, "print at most this number, the newest")
	cmd.Flags().StringVar(&s.sinceText, "since", "", "only lines since `TIME`, or since so long ago")
	cmd.Flags().StringVar(&s.identity, "identity", "", "only lines of this `IDENTITY`")
	out.addTo(cmd)
	return cmd
}

// auditFilter chooses lines.
type auditFilter struct {
	limit               int
	sinceText, identity string
	since               time.Time
}

func (s *auditFilter) check(cmd *cobra.Command, a *app) (err error) {
	var errs []error
	if s.limit < 1 || s.limit > maxAuditLines {
		errs = append(errs, usage(cmd, "--limit: is %d; allowed: 1 to %d", s.limit, maxAuditLines))
	}
	if s.since, err = parseTime(s.sinceText, a.now(), a.zone); err != nil {
		errs = append(errs, usage(cmd, "--since: %w", err))
	}
	return errors.Join(errs...)
}

func (s *auditFilter) matches(l *audit.Line) bool {
	return !l.Time.Before(s.since) && (s.identity == "" || s.identity == l.Identity)
}

func showAudit(a *app, out *output, path string, s *auditFilter) error {
	lines, skipped, err := newestLines(path, s)
	if err != nil {
		return fmt.Errorf("DIR: %w", err)
	}
	switch {
	case len(lines) == 0:
		a.say("The audit log has no such line.")
	case out.json():
		for i := range lines {
			if _, err := fmt.Fprintln(a.stdout, lines[i].Text); err != nil {
				return err
			}
		}
	default:
		err = printAudit(a, out, lines)
	}
	if skipped > 0 {
		a.say("%s left out, because damaged or incomplete; see `meshhealth audit verify`.", plural(skipped, "line"))
	}
	return err
}

// newestLines returns the newest lines that match, the oldest first. It keeps only so many in memory.
func newestLines(path string, s *auditFilter) (lines []audit.Line, skipped int, err error) {
	next := 0 // place of the oldest line, when there are as many as allowed
	skipped, err = audit.Read(path, func(l *audit.Line) bool {
		switch {
		case !s.matches(l):
		case len(lines) < s.limit:
			lines = append(lines, *l)
		default:
			lines[next] = *l
			next = (next + 1) % s.limit
		}
		return true
	})
	return append(lines[next:len(lines):len(lines)], lines[:next]...), skipped, err
}

func printAudit(a *app, out *output, lines []audit.Line) error {
	p := a.pen(out.colour)
	t := table{head: []string{"TIME", "KIND", "OUTCOME", "WHO", "VERB", "OBJECT", "RULE", "DETAIL"}, drop: []int{6, 1, 4}, name: 3}
	for i := range lines {
		l := &lines[i]
		how := plainText
		if l.Outcome != audit.Accepted && l.Outcome != audit.Done {
			how = warning
		}
		detail := l.Detail
		if l.Count > 0 {
			detail = fmt.Sprintf("%d: %s", l.Count, detail)
		}
		t.add(cell{auditTime(a, l.Time), faint}, cell{string(l.Kind), plainText}, cell{string(l.Outcome), how},
			cell{who(l), plainText}, cell{l.Verb, plainText}, cell{l.Object, plainText}, cell{l.Rule, faint}, cell{detail, plainText})
	}
	return t.print(a.stdout, p, a.columns)
}

// who names the caller: by its identity, or by its address if it has none.
func who(l *audit.Line) string {
	return cmp.Or(l.Identity, strings.TrimSpace(string(l.Source)+" "+l.Peer))
}
