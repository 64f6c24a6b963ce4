package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func policyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "Check, explain and learn an access policy",
		Long: `Check an access policy, and explain what it allows to whom. check and explain read the file
and ask no coordinator. learn writes a policy from what a coordinator observes.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(policyCheckCommand(a), policyExplainCommand(a), policyLearnCommand(a))
	return cmd
}

func policyCheckCommand(a *app) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check an access policy, and print its rules",
		Long: `Check an access policy, and print its rules: name, who, and what is allowed. Warnings go to
stderr. They name rules that another rule makes useless, rules that let anyone change
something, and tokens with two values.

The exit code is 0 if the file has no fault, and 3 if it has one. Each fault has the form
FILE:LINE: KEY: TEXT. A coordinator that runs reads a file without faults by itself.`,
		Example: `  meshhealth policy check policy.yaml`,
		Args:    exactlyOne("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(cmd); err != nil {
				return err
			}
			return checkPolicy(a, cmd, &out, args[0])
		},
	}
	out.addFormat(cmd)
	return cmd
}

// policyError adds the word FILE to an error about a file that cannot be read. An error about its content already
// names the file.
func policyError(err error) error {
	if config.IsFault(err) {
		return err
	}
	return fmt.Errorf("FILE: %w", err)
}

func checkPolicy(a *app, cmd *cobra.Command, out *output, file string) error {
	policy, warnings, err := config.CheckAccessPolicy(cmd.Context(), file)
	if err != nil {
		return policyError(err)
	}
	var rows [][]string
	for i := range policy.Rules {
		r := &policy.Rules[i]
		if out.json() {
			err = errors.Join(err, printRuleJSON(a, r.Name, r.Who, r.Summary()))
			continue
		}
		rows = append(rows, []string{r.Name, strings.Join(r.Who, ", "), strings.Join(r.Summary(), "; ")})
	}
	if err == nil && len(rows) > 0 {
		err = printColumns(a, rows)
	}
	for _, w := range warnings {
		a.say("warning: %s", w)
	}
	return err
}

func printRuleJSON(a *app, name string, who, allows []string) error {
	text, err := json.Marshal(struct {
		Rule   string   `json:"rule"`
		Who    []string `json:"who"`
		Allows []string `json:"allows"`
	}{name, who, allows})
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(append(escaped(text), '\n'))
	return err
}

// maxPadded is the largest width to which a column of a policy is padded.
const maxPadded = 40

// printColumns prints rows of texts. All columns but the last are padded.
func printColumns(a *app, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], min(columnsOf(cell), maxPadded))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			if cell = wire.CleanTo(cell, maxShown); i < len(row)-1 {
				cell = pad(cell, widths[i]) + "  "
			}
			b.WriteString(cell)
		}
		b.WriteByte('\n')
	}
	_, err := a.stdout.Write([]byte(b.String()))
	return err
}
