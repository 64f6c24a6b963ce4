package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// levelMark is how a level is printed.
type levelMark struct {
	glyph, ascii, word string
	style              style
}

var levelMarks = map[level]levelMark{
	levelSkipped: {"-", "-", "skipped", faint},
	levelOK:      {"✓", "+", "ok", good},
	levelWarning: {"!", "!", "warning", warning},
	levelFailed:  {"✖", "X", "failed", bad},
}

// level returns the table cell for the level of a step.
func (p pen) level(l level) cell {
	mark := levelMarks[l]
	return cell{p.choose(mark.glyph, mark.ascii) + " " + mark.word, mark.style}
}

// printFindings prints the results of the steps in the format that the user has asked for.
func (a *app) printFindings(out *output, f *facts, found []diagnosis) error {
	switch {
	case out.json():
		return printFindingsJSON(a.stdout, found)
	case out.format == formatShort:
		_, err := fmt.Fprintln(a.stdout, wire.CleanTo(shortOf(pen{ascii: a.asciiOnly()}, f, found), maxShown))
		return err
	}
	_, err := fmt.Fprint(a.stdout, textOf(a.pen(out.colour), found, a.columns))
	return err
}

// Widths of the first two columns in the output of the command doctor.
const (
	levelColumns = len("! warning")
	stepColumns  = len("coordinator")
)

// textOf returns the results as text. A step that is well is one line. A finding has its action, and
// the address of its section, on lines of their own.
func textOf(p pen, found []diagnosis, columns int) string {
	var b strings.Builder
	for i := range found {
		d := &found[i]
		mark := p.level(d.level)
		lines := [][2]string{{"", d.text}}
		if d.topic != "" {
			lines = append(lines, [2]string{"do:  ", d.action}, [2]string{"see: ", d.anchor()})
		}
		for j, line := range lines {
			text := line[0] + wire.CleanTo(line[1], maxShown)
			switch {
			case p.plain && j == 0:
				fmt.Fprintf(&b, "%s: %s: %s\n", levelMarks[d.level].word, d.step, text)
			case p.plain:
				b.WriteString(strings.Join(strings.Fields(text), " ") + "\n")
			case j == 0:
				head := p.paint(mark.style, pad(mark.text, levelColumns)) + gap + pad(d.step, stepColumns) + gap
				writeWrapped(&b, head, levelColumns+stepColumns+2*len(gap), text, columns)
			default:
				indent := levelColumns + stepColumns + 2*len(gap)
				writeWrapped(&b, strings.Repeat(" ", indent), indent, text, columns)
			}
		}
	}
	b.WriteString(verdictOf(p, found) + "\n")
	return b.String()
}

// verdictOf returns the last line of the output.
func verdictOf(p pen, found []diagnosis) string {
	worst := worstLevel(found)
	if worst == levelOK {
		return p.paint(good, "Everything that was checked is well.")
	}
	return p.paint(levelMarks[worst].style, numbersOf(found)+".")
}

// numbersOf returns how many findings of each level there are.
func numbersOf(found []diagnosis) string {
	warnings, failed := 0, 0
	for _, d := range found {
		switch d.level {
		case levelWarning:
			warnings++
		case levelFailed:
			failed++
		}
	}
	var parts []string
	if failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", failed))
	}
	if warnings > 0 {
		parts = append(parts, plural(warnings, "warning"))
	}
	return strings.Join(parts, ", ")
}

// writeWrapped writes a text after a head. On a terminal, it breaks the text between words, and
// further lines begin below the first word.
func writeWrapped(b *strings.Builder, head string, indent int, text string, columns int) {
	b.WriteString(head)
	width := indent
	for i, word := range strings.Split(text, " ") {
		n := columnsOf(word)
		switch {
		case i == 0:
		case columns > 0 && width+1+n > columns:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			width = indent
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += n
	}
	b.WriteByte('\n')
}

// shortOf returns the results as one line, which a person can paste into a chat.
func shortOf(p pen, f *facts, found []diagnosis) string {
	text := "doctor " + f.address
	if f.name != "" {
		text += " " + f.name
	}
	worst := worstLevel(found)
	if worst == levelOK {
		return text + ": " + p.level(levelOK).text
	}
	text += ": " + numbersOf(found)
	shown := 0
	for _, level := range []level{levelFailed, levelWarning} {
		for _, d := range found {
			if d.level != level {
				continue
			}
			if shown++; shown <= maxShort {
				mark := levelMarks[level]
				text += "; " + p.choose(mark.glyph, mark.ascii) + " " + d.step + ": " + d.text
			}
		}
	}
	if more := shown - maxShort; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// printFindingsJSON prints one object for each result.
func printFindingsJSON(w io.Writer, found []diagnosis) error {
	for i := range found {
		d := &found[i]
		text, err := json.Marshal(struct {
			Step   string `json:"step"`
			Level  string `json:"level"`
			Topic  string `json:"topic"`
			Text   string `json:"text"`
			Action string `json:"action"`
			See    string `json:"see"`
		}{d.step, levelMarks[d.level].word, d.topic, wire.CleanTo(d.text, maxShown), d.action, d.anchor()})
		if err != nil {
			return err
		}
		if err := printLine(w, text); err != nil {
			return err
		}
	}
	return nil
}
