package main

import (
	"io"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// style is a colour or weight, as an escape sequence of terminals. A colour never has
// information that the text does not have.
type style string

// Most colour-blind people can tell cyan, yellow and bold red apart, but not green and
// red.
const (
	plainText style = ""
	good      style = "\x1b[36m"
	warning   style = "\x1b[33m"
	bad       style = "\x1b[1;31m"
	faint     style = "\x1b[2m"
	strong    style = "\x1b[1m"
	reset           = "\x1b[0m"
)

// pen formats texts with the colours and characters that the terminal can show.
type pen struct {
	colour bool
	ascii  bool
}

// pen returns the pen for stdout. mode is the value of --color. If stdout is a pipe, only the
// mode always gives colours.
func (a *app) pen(mode string) pen {
	colour := mode == "always"
	if mode == "auto" {
		colour = a.columns > 0 && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
	}
	return pen{colour: colour, ascii: a.asciiOnly()}
}

// asciiOnly reports whether the locale allows only ASCII. Without a locale, as in many
// containers, it returns false.
func (a *app) asciiOnly() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(a.getenv(name)); v != "" {
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return false
}

func (p pen) paint(s style, text string) string {
	if !p.colour || s == plainText || text == "" {
		return text
	}
	return string(s) + text + reset
}

// or returns the first text, or the second one where only ASCII can be shown.
func (p pen) or(unicode, ascii string) string {
	if p.ascii {
		return ascii
	}
	return unicode
}

func (p pen) dots() string { return p.or("…", "...") }

// symbol is the character and the style with which a status is printed beside its word.
type symbol struct {
	glyph, ascii string
	style        style
}

var symbols = map[health.Status]symbol{
	health.Serving:     {"●", "+", good},
	health.Degraded:    {"▲", "!", warning},
	health.NotServing:  {"✖", "X", bad},
	health.Unknown:     {"?", "?", warning},
	health.Starting:    {"◔", "o", faint},
	health.Draining:    {"▽", "v", faint},
	health.Maintenance: {"■", "#", faint},
}

// status shows a status as a symbol and a word.
func (p pen) status(s pb.Status) cell {
	if s == pb.Status_STATUS_SERVICE_UNKNOWN {
		return cell{text: "? SERVICE_UNKNOWN", style: warning}
	}
	status, _ := health.StatusFromWire(int32(s))
	sym := symbols[status]
	return cell{text: p.or(sym.glyph, sym.ascii) + " " + status.String(), style: sym.style}
}

// cell is one field of a table.
type cell struct {
	text  string
	style style
}

// table has the rows of a table. Each column is as wide as its widest cell. On a terminal the
// last column is cut at the right edge. In a pipe nothing is cut.
type table struct {
	head []string
	rows [][]cell
}

func (t *table) add(cells ...cell) {
	for i := range cells {
		cells[i].text = wire.CleanTo(cells[i].text, maxShown)
	}
	t.rows = append(t.rows, cells)
}

// gap is the space between two columns.
const gap = "  "

// print writes the table for a terminal with this number of columns; 0 means no terminal.
func (t *table) print(w io.Writer, p pen, columns int) error {
	widths := t.widths()
	var b strings.Builder
	if t.head != nil {
		head := make([]cell, len(t.head))
		for i, text := range t.head {
			head[i] = cell{text, faint}
		}
		printRow(&b, p, widths, head, columns)
	}
	for _, row := range t.rows {
		printRow(&b, p, widths, row, columns)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) widths() []int {
	widths := make([]int, len(t.head))
	for i, text := range t.head {
		widths[i] = columnsOf(text)
	}
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columnsOf(c.text))
		}
	}
	return widths
}

// printRow writes one row, without spaces at its end.
func printRow(b *strings.Builder, p pen, widths []int, row []cell, columns int) {
	at, spaces := 0, 0 // spaces are written before the next text
	for i, c := range row {
		text := c.text
		if last := i == len(widths)-1; last && columns > 0 {
			text = cutColumns(text, max(columns-at, 8), p.dots())
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", spaces))
			b.WriteString(p.paint(c.style, text))
			spaces = 0
		}
		spaces += widths[i] - columnsOf(text) + len(gap)
		at += widths[i] + len(gap)
	}
	b.WriteByte('\n')
}
