package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/internal/audit"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// exitDamaged is the exit code of `audit verify` if a line is not as the log has written it.
const exitDamaged = 1

func auditVerifyCommand(a *app) *cobra.Command {
	var (
		from uint64
		hash string
		out  output
	)
	cmd := &cobra.Command{
		Use:   "verify [DIR or FILE]",
		Short: "Check that no line of an audit log was changed or removed",
		Long: `Check that no line of an audit log was changed, removed, inserted or moved. DIR is the folder
of the log or the data folder of the coordinator. Of a FILE, only its own lines are checked.

The files alone cannot show that lines were cut at the end, or that all were written anew.
So note the last number and its hash on another machine, and pass them later with --from
and --hash. They are compared with the accepted writes, or with the lines of the FILE.

The exit code is 0 if the log is sound, 1 if it is damaged, and 3 if it cannot be checked.`,
		Example: `  meshhealth audit verify
  meshhealth audit verify /var/lib/meshhealth/audit --from 1204 --hash 5e88…`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, errPath := auditPath(args)
			noted, err := notedLine(cmd, from, hash)
			if err := errors.Join(out.check(cmd), errPath, err); err != nil {
				return err
			}
			return verifyAudit(a, &out, path, noted)
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "compare the line with this `NUMBER` with --hash")
	cmd.Flags().StringVar(&hash, "hash", "", "the `HASH` that was noted for this line")
	out.addFormat(cmd)
	return cmd
}

// notedLine checks the flags about the line that was noted.
func notedLine(cmd *cobra.Command, from uint64, hash string) (audit.Noted, error) {
	given := cmd.Flags().Changed
	switch {
	case given("from") != given("hash"):
		return audit.Noted{}, usage(cmd, "--from, --hash: one is missing; allowed: both or none")
	case !given("from"):
		return audit.Noted{}, nil
	case from == 0:
		return audit.Noted{}, usage(cmd, "--from: is 0; allowed: the number of a line, from 1")
	}
	h, err := audit.ParseHash(strings.ToLower(hash))
	if err != nil {
		return audit.Noted{}, usage(cmd, "--hash: %w", err)
	}
	return audit.Noted{Number: from, Hash: h}, nil
}

func verifyAudit(a *app, out *output, path string, noted audit.Noted) error {
	r, err := audit.Verify(path, noted)
	if err != nil {
		return fmt.Errorf("DIR: %w", err)
	}
	for i := range r.Chains {
		c := &r.Chains[i]
		text := []byte(chainText(a, c))
		if out.json() {
			text, err = chainJSON(c)
		}
		if err == nil {
			_, err = a.stdout.Write(text)
		}
		if err != nil {
			return err
		}
	}
	switch c := &r.Chains[0]; {
	case !r.Sound():
		return exitCode(exitDamaged)
	case c.Gone:
		return hinted("Note a later line, such as the last one.",
			"--from: is %d; the first line is %d, so the noted line cannot be compared", noted.Number, c.First)
	case noted.Number == 0 && !out.json():
		a.say("Lines that were cut at the end cannot be seen in the files. Note the last number and its hash elsewhere,")
		a.say("and compare them next time with --from and --hash.")
	}
	return nil
}

// chainText describes a chain in sentences.
func chainText(a *app, c *audit.ChainReport) string {
	var b strings.Builder
	verdict := "sound"
	if c.NumFaults > 0 {
		verdict = "DAMAGED, " + plural(c.NumFaults, "fault")
	}
	fmt.Fprintf(&b, "%s: %s\n", c.Name, verdict)
	fmt.Fprintf(&b, "  %s in %s", plural(int(c.Lines), "line"), plural(c.Segments, "file"))
	if c.Lines > 0 {
		fmt.Fprintf(&b, ", %d to %d, from %s to %s\n", c.First, c.Last, auditTime(a, c.From), auditTime(a, c.To))
		fmt.Fprintf(&b, "  last line %d, hash %s", c.Last, c.LastHash)
	}
	b.WriteByte('\n')
	if c.Removed > 0 {
		fmt.Fprintf(&b, "  the log itself has removed the lines up to %d, at its largest size\n", c.Removed)
	}
	if c.Compared {
		b.WriteString("  the noted line is there, with the noted hash\n")
	}
	for _, f := range c.Faults {
		fmt.Fprintf(&b, "  %s\n", wire.CleanTo(f.String(), maxShown))
	}
	if more := c.NumFaults - len(c.Faults); more > 0 {
		fmt.Fprintf(&b, "  and %s more\n", plural(more, "fault"))
	}
	if c.Unfinished.File != "" {
		fmt.Fprintf(&b, "  %s\n", wire.CleanTo(c.Unfinished.String(), maxShown))
	}
	return b.String()
}

func auditTime(a *app, t time.Time) string { return t.In(a.zone).Format(stamp) }

// chainJSON describes a chain as one line of JSON.
func chainJSON(c *audit.ChainReport) ([]byte, error) {
	faults := make([]string, len(c.Faults))
	for i, f := range c.Faults {
		faults[i] = wire.CleanTo(f.String(), maxShown)
	}
	text, err := json.Marshal(struct {
		Chain     string    `json:"chain"`
		Sound     bool      `json:"sound"`
		Files     int       `json:"files"`
		Lines     uint64    `json:"lines"`
		First     uint64    `json:"first"`
		Last      uint64    `json:"last"`
		LastHash  string    `json:"lastHash"`
		From      time.Time `json:"from,omitzero"`
		To        time.Time `json:"to,omitzero"`
		Removed   uint64    `json:"removed"`
		Compared  bool      `json:"compared"`
		NumFaults int       `json:"numFaults"`
		Faults    []string  `json:"faults"`
	}{
		c.Name, c.NumFaults == 0, c.Segments, c.Lines, c.First, c.Last, c.LastHash.String(), c.From, c.To,
		c.Removed, c.Compared, c.NumFaults, faults,
	})
	return append(escaped(text), '\n'), err
}
