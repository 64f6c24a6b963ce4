package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

func explainCommand(a *app) *cobra.Command {
	var (
		t   target
		out output
	)
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Explain a status",
		Long: `Explain why an instance, a service, a zone or the mesh has its status, and what would
change the status next. The output has one fact on each line, in these sections:

  Because  what the status is based on, the most important first
  Root     the way from the root of the failure to this name
  Layers   what each layer that computes the status of an instance does
  Next     what changes the status, the earliest first
  Forced   who forces the status

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
