package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usage returns an error about a wrong command line. The error has a hint to try the option --help
// of cmd.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return hinted(helpHint(cmd), format, args...)
}

// usageAll adds a hint to each error that is joined in err: to try the option --help of cmd.
func usageAll(cmd *cobra.Command, err error) error { return hintedAll(err, helpHint(cmd)) }

func helpHint(cmd *cobra.Command) string {
	return fmt.Sprintf("Try `%s --help`.", cmd.CommandPath())
}

// badFlag converts err, an error about a flag of cmd. For a wrong value, the result also says which
// values are allowed.
func badFlag(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		allowed := map[string]string{
			"duration": "a duration such as 5s or 1m30s", "int": "a whole number", "uint64": "a whole number", "bool": "true or false",
		}[e.GetFlag().Value.Type()]
		if allowed != "" {
			return usage(cmd, "--%s: is %q; allowed: %s", e.GetFlag().Name, e.GetValue(), allowed)
		}
	}
	return usage(cmd, "%w", err)
}

// noArgs refuses all arguments. An argument of the root command is probably a mistyped command, so
// the error names similar commands.
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

// atLeastOne requires one or more arguments. noun is the word for an argument in error texts.
func atLeastOne(noun string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, "no %s given", noun)
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

// exactlyOne requires one argument. noun is the word for the argument in error texts.
func exactlyOne(noun string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return errors.Join(atLeastOne(noun)(cmd, args), atMostOne(cmd, args))
	}
}

// exactlyTwo requires two arguments. first and second are the words for the arguments in error
// texts.
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

// ifGiven returns the result of check for value, the value of a flag. It returns nil if value is
// empty, because then the flag was not given.
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
