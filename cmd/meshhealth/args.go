package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usage returns an error about a wrong command line. Its hint names the help of the command.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return hinted(helpHint(cmd), format, args...)
}

// usageAll adds the hint that names the help of cmd to each error that is joined in err.
func usageAll(cmd *cobra.Command, err error) error { return hintedAll(err, helpHint(cmd)) }

func helpHint(cmd *cobra.Command) string {
	return fmt.Sprintf("Try `%s --help`.", cmd.CommandPath())
}

// badFlag adds the allowed values to the error err about a flag.
func badFlag(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		allowed := map[string]string{
			"duration": "a duration such as 5s or 1m30s", "int": "a whole number", "bool": "true or false",
		}[e.GetFlag().Value.Type()]
		if allowed != "" {
			return usage(cmd, "--%s: is %q; allowed: %s", e.GetFlag().Name, e.GetValue(), allowed)
		}
	}
	return usage(cmd, "%w", err)
}

// noArgs refuses all arguments. An argument of the root command is probably a mistyped command.
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

// atLeastOne requires one or more arguments. Error texts call an argument name.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, "no %s given", name)
		}
		return nil
	}
}

// atMostOne allows no argument or one.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(cmd, "unexpected argument %q: one name at most", args[1])
	}
	return nil
}

// exactlyOne requires one argument. Error texts call the argument name.
func exactlyOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return errors.Join(atLeastOne(name)(cmd, args), atMostOne(cmd, args))
	}
}

// exactlyTwo requires two arguments. Error texts call the arguments first and second.
func exactlyTwo(first, second string) cobra.PositionalArgs {
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

// ifGiven calls check with the value of a flag. If the value is empty, it returns nil.
func ifGiven(value string, check func(string) error) error {
	if value == "" {
		return nil
	}
	return check(value)
}

func oneOf(words []string) func(value string) error {
	return func(value string) error {
		if slices.Contains(words, value) {
			return nil
		}
		return fmt.Errorf("is %q; allowed: %s", value, strings.Join(words, ", "))
	}
}
