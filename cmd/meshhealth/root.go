package main

import (
	"context"
	"errors"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// run executes a command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := rootCommand(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	a.printError(err)
	return exitFail
}

func rootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "meshhealth",
		Short: "Run a mesh coordinator, and ask one",
		Long: `meshhealth knows the status of each instance of each service, and the reason.

Start with:         meshhealth demo
Run a coordinator:  meshhealth coordinator
Ask it:             meshhealth status`,
		Args: noArgs,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.CommandPath() == "meshhealth coordinator" {
				return nil
			}
			return a.restoreHangup()
		},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(badFlag)
	root.PersistentFlags().BoolVar(&a.plain, "plain", false, "print one fact a line: no columns, no colours, no repaint (or $ACCESSIBLE)")
	root.AddCommand(
		coordinatorCommand(a), statusCommand(a), watchCommand(a), historyCommand(a),
		registerCommand(a), deregisterCommand(a), demoCommand(a), demoInstanceCommand(a),
		chaosCommand(a), chaosChildCommand(a), versionCommand(a),
		probeCommand(a), overrideCommand(a), maintenanceCommand(a), explainCommand(a),
		routesCommand(a), xdsCommand(a), envoyCommand(a),
		certCommand(a), auditCommand(a), policyCommand(a), doctorCommand(a), accessibilityTopic(),
	)
	return root
}

// restoreHangup restores the default effect of SIGHUP, which is the end of the process. If a SIGHUP
// has already come, it returns an error.
func (a *app) restoreHangup() error {
	if a.hangups == nil {
		return nil
	}
	signal.Reset(syscall.SIGHUP)
	select {
	case <-a.hangups:
		return errors.New("SIGHUP was received during the start; only `meshhealth coordinator` continues after it")
	default:
		return nil
	}
}
