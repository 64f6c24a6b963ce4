package main

import (
	"io"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// style is the colour or weight of a text, as an escape sequence for terminals. The output is
// complete without styles, because each text has the same information as its style.
type style string

// The styles. Most colour-blind people can distinguish cyan, yellow and bold red, but not green and
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

// pen says which colours and characters the terminal can show, and formats texts with them.
type pen struct {
	colour bool
	ascii  bool
	plain  bool // each row of a table is a list of named values, without columns
}

// pen returns the pen for stdout. mode is the value of the flag --color. If stdout is not a terminal,
// only the mode "always" results in colours.
func (a *app) pen(mode string) pen {
	p := pen{colour: mode == "always", ascii: a.asciiOnly(), plain: a.isPlain()}
	if mode == "auto" {
		p.colour = a.columns > 0 && !p.plain && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
	}
	return p
}

// isPlain reports whether the user wants output that a screen reader can read aloud: with the flag
// --plain, or with the environment variable ACCESSIBLE.
func (a *app) isPlain() bool {
	accessible := a.getenv("ACCESSIBLE")
	return a.plain || accessible != "" && accessible != "0"
}

// asciiOnly reports whether the locale allows only ASCII characters. It returns false if no locale is
// set, as in many containers.
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

// choose returns the text unicode, or the text ascii if the terminal can show only ASCII.
func (p pen) choose(unicode, ascii string) string {
	if p.ascii {
		return ascii
	}
	return unicode
}

func (p pen) dots() string { return p.choose("…", "...") }

// symbol is the character that is printed before the name of a status, with its style.
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

// status returns the table cell for a status: a symbol and the name.
func (p pen) status(s pb.Status) cell {
	if s == pb.Status_STATUS_SERVICE_UNKNOWN {
		return cell{text: "? SERVICE_UNKNOWN", style: warning}
	}
	status, _ := health.StatusFromWire(int32(s))
	sym := symbols[status]
	return cell{text: p.choose(sym.glyph, sym.ascii) + " " + status.String(), style: sym.style}
}

// cell is one field of a table.
type cell struct {
	text  string
	style style
}

// table is a text table. Each column is as wide as its widest cell. On a terminal, a row never
// needs more than one line: first the columns in drop are omitted, one after the other, and then
// cells are cut. Otherwise nothing is omitted or cut.
type table struct {
	head []string
	rows [][]cell // a row with one cell is a heading that needs no column
	drop []int    // the columns that a narrow terminal omits, the least important first
	name int      // the column whose texts are cut in the middle before the last column is omitted; 0 means none
}

func (t *table) add(cells ...cell) {
	for i := range cells {
		cells[i].text = wire.CleanTo(cells[i].text, maxShown)
	}
	t.rows = append(t.rows, cells)
}

// gap separates two columns of a table.
const gap = "  "

// The number of columns that the last cell of a row gets at least, if its text is so long. Other
// cells are omitted for it as long as it has less than wantedLast.
const (
	wantedLast = 16
	leastLast  = 8
)

// print writes the table to w. columns is the width of the terminal; 0 means no terminal.
func (t *table) print(w io.Writer, p pen, columns int) error {
	var b strings.Builder
	if p.plain {
		t.printFacts(&b, p)
		_, err := io.WriteString(w, b.String())
		return err
	}
	widths := t.widths()
	t.fit(widths, columns)
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

// printFacts writes each row as one line of named values, such as "status: SERVING; name: a". A
// screen reader can read such lines aloud.
func (t *table) printFacts(b *strings.Builder, p pen) {
	for _, row := range t.rows {
		var facts []string
		for i, c := range row {
			text := strings.TrimSpace(c.text)
			switch {
			case text == "":
				continue
			case len(row) > 1 && i < len(t.head):
				text = strings.ToLower(t.head[i]) + ": " + text
			}
			facts = append(facts, p.paint(c.style, text))
		}
		b.WriteString(strings.Join(facts, "; ") + "\n")
	}
}

// omitted is the width of a column that a narrow terminal omits.
const omitted = -1

// leastName is the smallest width of a column with names.
const leastName = 20

// fit sets the widths of columns to omitted until the rest fits on a terminal. Before it omits the
// last column, it makes the column of names narrower.
func (t *table) fit(widths []int, columns int) {
	if columns == 0 || len(widths) == 0 {
		return
	}
	last := len(widths) - 1
	for _, column := range t.drop {
		excess := startOf(widths, last) + min(widths[last], wantedLast) - columns
		if column == last && t.name > 0 {
			widths[t.name] = min(widths[t.name], max(widths[t.name]-excess, leastName))
			excess = startOf(widths, last) + min(widths[last], leastLast) - columns
		}
		if excess <= 0 {
			return
		}
		widths[column] = omitted
	}
}

// startOf returns the position at which a column starts.
func startOf(widths []int, column int) int {
	start := 0
	for _, width := range widths[:column] {
		if width != omitted {
			start += width + len(gap)
		}
	}
	return start
}

func (t *table) widths() []int {
	widths := make([]int, len(t.head))
	for i, text := range t.head {
		widths[i] = columnsOf(text)
	}
	for _, row := range t.rows {
		if len(row) == 1 && len(t.head) > 1 {
			continue
		}
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columnsOf(c.text))
		}
	}
	return widths
}

// printRow writes one row without spaces at its end.
func printRow(b *strings.Builder, p pen, widths []int, row []cell, columns int) {
	start, spaces := 0, 0 // column at which the next cell starts, and number of spaces to write before its text
	for i, c := range row {
		if widths[i] == omitted {
			continue
		}
		text := c.text
		if columns > 0 && len(row) > 1 && i < len(widths)-1 {
			text = cutMiddle(text, widths[i], p.dots())
		}
		if columns > 0 {
			text = cutColumns(text, max(columns-start, 0), p.dots())
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", spaces))
			b.WriteString(p.paint(c.style, text))
			spaces = 0
		}
		spaces += widths[i] - columnsOf(text) + len(gap)
		start += widths[i] + len(gap)
	}
	b.WriteByte('\n')
}
