package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func doctorCommand(a *app) *cobra.Command {
	var (
		t   target
		out = output{more: []string{formatShort, formatJSONL}}
	)
	cmd := &cobra.Command{
		Use:   "doctor [SERVICE[/INSTANCE]]",
		Short: "Check a set-up step by step, and say what to do",
		Long: `Check step by step whether the coordinator can be reached, whether TLS and the clocks
are right, what the caller may read, what is registered, how each instance is
followed, and how the coordinator itself works. With a name, only this service or
instance is examined.

A step that is well is one line. Each finding has one action, and a section in
docs/operations.md. Nothing is changed.

The exit code is the worst result:
  0 ok   1 a warning   2 a step failed   3 a wrong command line`,
		Example: `  meshhealth doctor
  meshhealth doctor legacy/legacy-1
  meshhealth doctor --coordinator health.example:7070 --tls-ca ca.pem -o short`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, names []string) error {
			err := errors.Join(out.check(cmd), checkNames(names), t.complete(cmd, a.getenv))
			if err != nil {
				return err
			}
			facts, err := examine(cmd.Context(), &t, append(names, "")[0], a.now)
			if err != nil {
				return err
			}
			found := diagnose(facts)
			if err := a.printFindings(&out, facts, found); err != nil {
				return err
			}
			if code := int(worstLevel(found)); code != exitOK {
				return exitCode(code)
			}
			return nil
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	return cmd
}
