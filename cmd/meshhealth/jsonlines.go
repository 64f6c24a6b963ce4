package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// inJSON writes every scalar, so that a script need not know what is left out:
// without it, UNKNOWN would be no status at all.
var inJSON = protojson.MarshalOptions{EmitDefaultValues: true}

// printJSON prints a message as one line of JSON.
func printJSON(w io.Writer, m proto.Message) error {
	text, err := inJSON.Marshal(m)
	if err != nil {
		return err
	}
	return printLine(w, text)
}

// printLine prints JSON on one line. protojson adds spaces at random, which
// would make the same output differ from build to build.
func printLine(w io.Writer, text []byte) error {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return err
	}
	_, err := io.WriteString(w, escaped(b.String())+"\n")
	return err
}

// escaped writes as \u what JSON may hold but a terminal might obey.
func escaped(text string) string {
	var b bytes.Buffer
	for _, r := range text {
		if r >= 0x7f && (unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
