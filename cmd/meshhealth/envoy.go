package main

import "github.com/spf13/cobra"

func envoyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "envoy", Short: "Make and check the configuration of Envoy and gRPC clients",
		Long: "Make and check the configuration of Envoy and gRPC clients that follow the health of the\nmesh.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(envoyBootstrapCommand(a), envoyEDSCommand(a), envoyCheckCommand(a))
	return cmd
}
