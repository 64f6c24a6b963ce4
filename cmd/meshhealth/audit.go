package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/internal/input"
)

func auditCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Check and print the audit log of a coordinator",
		Long: `Check and print the audit log of a coordinator: who was allowed to change what, and whose
requests were refused. The commands read files and ask no coordinator.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(auditVerifyCommand(a), auditShowCommand(a))
	return cmd
}

// auditPath returns the path of an audit log on the command line. Without one, it is in the default
// data folder.
func auditPath(args []string) (string, error) {
	path := cmp.Or(append(args, "")[0], config.DefaultDataDir)
	if err := input.CheckPath(path); err != nil {
		return "", fmt.Errorf("DIR: %w", err)
	}
	return path, nil
}
