package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "meshhealth",
		Short: "Run a mesh coordinator, and ask one",
		Long: `meshhealth knows how every instance of every service is, and why.

Start with:   meshhealth demo
A real one:   meshhealth coordinator
Ask it:       meshhealth status`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(badFlag)
	root.AddCommand(
		a.coordinatorCommand(), a.statusCommand(), a.watchCommand(), a.historyCommand(),
		a.registerCommand(), a.deregisterCommand(), a.demoCommand(), a.demoInstanceCommand(),
		a.chaosCommand(), a.chaosChildCommand(), a.versionCommand(),
		a.probeCommand(), a.overrideCommand(), a.maintenanceCommand(), a.explainCommand(),
	)
	return root
}

// badFlag says what a flag takes, where its own error does not.
func badFlag(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		allowed := map[string]string{
			"duration": "a duration such as 5s or 1m30s", "int": "a whole number", "bool": "true or false",
		}[e.GetFlag().Value.Type()]
		if allowed != "" {
			return usage(cmd, "--%s: %q is none; allowed: %s", e.GetFlag().Name, e.GetValue(), allowed)
		}
	}
	return usage(cmd, "%w", err)
}

// usage is an error about how a command was called.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return hinted(fmt.Sprintf("Try `%s --help`.", cmd.CommandPath()), format, args...)
}

// noArgs refuses arguments. On the root they are mistyped commands.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasParent():
		return usage(cmd, "unexpected argument %q", args[0])
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usage(cmd, "unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usage(cmd, "unknown command %q", args[0])
}

// atLeastOne wants arguments of a kind.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, "no %s given", what)
		}
		return nil
	}
}

// atMostOne wants none or one.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(cmd, "unexpected argument %q: one name at most", args[1])
	}
	return nil
}

// twoArgs wants two.
func twoArgs(first, second string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usage(cmd, "no %s given", first)
		case 1:
			return usage(cmd, "no %s given", second)
		case 2:
			return nil
		}
		return usage(cmd, "unexpected argument %q", args[2])
	}
}

// exactlyOne wants one.
func exactlyOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, "no %s given", what)
		}
		return atMostOne(cmd, args)
	}
}
