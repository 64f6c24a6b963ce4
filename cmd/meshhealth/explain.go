package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func (a *app) explainCommand() *cobra.Command {
	var (
		t   target
		out output
	)
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Say in words why something is as it is",
		Long: `Say in words why an instance, a service, a zone or the mesh has its status, and
what would change that next.

The exit code is its status, as with status.`,
		Example: `  meshhealth explain payments/a
  meshhealth explain payments
  meshhealth explain '*'`,
		Args: exactlyOne("NAME"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := errors.Join(out.check(cmd), checkNames(names)); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, q *asking) error {
				return a.explain(ctx, q, &out, names[0])
			})
		},
	}
	t.flags(cmd)
	out.flags(cmd)
	return cmd
}

func (a *app) explain(ctx context.Context, q *asking, out *output, name string) error {
	resp, err := q.admin.Explain(ctx, &pb.ExplainRequest{Name: name})
	switch {
	case status.Code(err) == codes.NotFound:
		return q.unknown(ctx, name)
	case err != nil:
		return q.explain(err)
	}
	if err := a.printExplanation(out, resp); err != nil {
		return err
	}
	if code := exitCodeOf(resp.GetHealth()); code != exitOK {
		return exitCode(code)
	}
	return nil
}

// printExplanation prints the first sentence as a headline.
func (a *app) printExplanation(out *output, e *pb.ExplainResponse) error {
	if out.json() {
		return printJSON(a.stdout, e)
	}
	p := a.pen(out.colour)
	for i, sentence := range e.GetSentences() {
		sentence = wire.CleanTo(sentence, 4*wire.MaxText)
		if i == 0 {
			sentence = p.paint(p.status(e.GetHealth().GetStatus()).style, sentence)
		}
		if _, err := fmt.Fprintln(a.stdout, sentence); err != nil {
			return err
		}
	}
	return nil
}
