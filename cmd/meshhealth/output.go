package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// output has the values of the flags --output and --color, which say how a command prints.
type output struct {
	format string
	colour string
	more   []string // formats of the command in addition to outputFormats
}

// Formats that some commands have in addition to outputFormats.
const (
	formatShort = "short" // one line, to paste into a chat
	formatTSV   = "tsv"   // one line for each entry, with tabs between its fields
	formatName  = "name"  // one name a line
	formatJSONL = "jsonl" // the same as json
)

var (
	outputFormats = []string{"table", "json"}
	colourModes   = []string{"auto", "always", "never"}
	formatHelp    = map[string]string{
		formatShort: "short (one line to paste into a chat)", formatTSV: "tsv (fields with tabs between)",
		formatName: "name (one name a line)", formatJSONL: "jsonl (the same)",
	}
)

// addFormat adds the flag --output to cmd.
func (o *output) addFormat(cmd *cobra.Command) {
	help := "`FORMAT`: table, or json (one object a line)"
	if len(o.more) > 0 {
		help = "`FORMAT`: table, json (one object a line)"
		for i, format := range o.more {
			separator := ", "
			if i == len(o.more)-1 {
				separator = " or "
			}
			help += separator + formatHelp[format]
		}
	}
	cmd.Flags().StringVarP(&o.format, "output", "o", "table", help)
}

// addColour adds the flag --color to cmd.
func (o *output) addColour(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.colour, "color", "auto", "`WHEN`: auto, always or never; NO_COLOR is respected")
}

// addTo adds the flags --output and --color to cmd.
func (o *output) addTo(cmd *cobra.Command) {
	o.addFormat(cmd)
	o.addColour(cmd)
}

func (o *output) json() bool { return o.format == "json" || o.format == formatJSONL }

// check returns an error if the value of --output or --color is unknown.
func (o *output) check(cmd *cobra.Command) error {
	err := oneOf(slices.Concat(outputFormats, o.more))(o.format)
	if err != nil {
		err = usage(cmd, "--output: %w", err)
	}
	if wrong := ifGiven(o.colour, oneOf(colourModes)); wrong != nil {
		err = errors.Join(err, usage(cmd, "--color: %w", wrong))
	}
	return err
}

// inJSON encodes messages with their default values. Without these, the status UNKNOWN would be
// missing in the JSON, because its number is 0.
var inJSON = protojson.MarshalOptions{EmitDefaultValues: true}

// printJSON prints a message as one line of JSON.
func printJSON(w io.Writer, m proto.Message) error {
	text, err := inJSON.Marshal(m)
	if err != nil {
		return err
	}
	return printLine(w, text)
}

// printLine prints a JSON text on one line without optional spaces. protojson adds such spaces at
// random, so that its output is not stable.
func printLine(w io.Writer, text []byte) error {
	var b bytes.Buffer
	b.Grow(len(text) + 1)
	if err := json.Compact(&b, text); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := w.Write(escaped(b.Bytes()))
	return err
}

// escaped replaces each character for which mustEscape is true by its \u escape. If the text has no
// such characters, the result is the unchanged text.
func escaped(text []byte) []byte {
	if !bytes.ContainsFunc(text, mustEscape) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		if mustEscape(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// mustEscape reports whether the program must escape r in JSON. JSON itself does not require this,
// but a terminal could interpret r as a command.
func mustEscape(r rune) bool {
	return r >= 0x7f && (unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp))
}
