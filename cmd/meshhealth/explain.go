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

func explainCommand(a *app) *cobra.Command {
	var (
		t   target
		out output
	)
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Explain a status in words",
		Long: `Explain in words why an instance, a service, a zone or the mesh has its status, and
what would change the status next.

The exit code is the status, as for the command status.`,
		Example: `  meshhealth explain payments/a
  meshhealth explain payments
  meshhealth explain '*'`,
		Args: exactlyOne("NAME"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := errors.Join(out.check(cmd), checkNames(names)); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return a.explain(ctx, conn, &out, names[0])
			})
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	return cmd
}

func (a *app) explain(ctx context.Context, conn *connection, out *output, name string) error {
	resp, err := conn.admin.Explain(ctx, &pb.ExplainRequest{Name: name})
	switch {
	case status.Code(err) == codes.NotFound:
		return conn.unknownName(ctx, name)
	case err != nil:
		return conn.callError(err)
	}
	if err := a.printExplanation(out, resp); err != nil {
		return err
	}
	if code := exitCodeOf(resp.GetHealth().GetStatus()); code != exitOK {
		return exitCode(code)
	}
	return nil
}

// printExplanation prints one sentence on each line. The first line has the colour of the status.
func (a *app) printExplanation(out *output, e *pb.ExplainResponse) error {
	if out.json() {
		return printJSON(a.stdout, e)
	}
	p := a.pen(out.colour)
	for i, sentence := range e.GetSentences() {
		sentence = wire.CleanTo(sentence, maxShown)
		if i == 0 {
			sentence = p.paint(p.status(e.GetHealth().GetStatus()).style, sentence)
		}
		if _, err := fmt.Fprintln(a.stdout, sentence); err != nil {
			return err
		}
	}
	return nil
}
