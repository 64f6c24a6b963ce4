package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// output says how a command prints.
type output struct {
	format string
	colour string
}

var (
	outputFormats = []string{"table", "json"}
	colourModes   = []string{"auto", "always", "never"}
)

// flag adds --output to a command.
func (o *output) flag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "table", "`FORMAT`: table, or json (one object a line)")
}

// flags adds --output and --color.
func (o *output) flags(cmd *cobra.Command) {
	o.flag(cmd)
	cmd.Flags().StringVar(&o.colour, "color", "auto", "`WHEN`: auto, always or never; NO_COLOR is respected")
}

func (o *output) json() bool { return o.format == "json" }

// check refuses words it does not know.
func (o *output) check(cmd *cobra.Command) error {
	if !slices.Contains(outputFormats, o.format) {
		return usage(cmd, "--output: %q is unknown; allowed: %s", o.format, strings.Join(outputFormats, ", "))
	}
	if o.colour != "" && !slices.Contains(colourModes, o.colour) {
		return usage(cmd, "--color: %q is unknown; allowed: %s", o.colour, strings.Join(colourModes, ", "))
	}
	return nil
}
