package main

import (
	"io"
	"strings"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// document is a text in sections. Each row of a section is one fact.
type document struct{ sections []*section }

// section is a small table with a title. Its last column holds text, which continues on the next line
// where the terminal ends.
type section struct {
	title string
	rows  [][]cell
}

// indent is the column at which the rows of a section with a title begin.
const indent = 10

// minText is the smallest width of the last column. If less space is left beside the other columns,
// the text begins on the next line.
const minText = 24

func (d *document) section(title string) *section {
	s := &section{title: title}
	d.sections = append(d.sections, s)
	return s
}

func (s *section) add(cells ...cell) {
	for i := range cells {
		cells[i].text = wire.CleanTo(cells[i].text, maxShown)
	}
	s.rows = append(s.rows, cells)
}

// print writes the sections that have rows. columns is the width of the terminal; 0 means no terminal.
// In this case each row is one line.
func (d *document) print(w io.Writer, p pen, columns int) error {
	var b strings.Builder
	for _, s := range d.sections {
		s.print(&b, p, columns)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *section) print(b *strings.Builder, p pen, columns int) {
	if len(s.rows) == 0 {
		return
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	left := 0
	if s.title != "" {
		left = indent
	}
	widths := s.widths()
	for i, row := range s.rows {
		title := ""
		if i == 0 {
			title = s.title
		}
		l := line{b: b, p: p, columns: columns}
		l.write(cell{pad(title, left), faint})
		l.row(row, widths, left)
		l.end()
	}
}

// widths returns the widths of the columns. A row with one cell is no part of the table.
func (s *section) widths() []int {
	var t table
	for _, row := range s.rows {
		if len(row) > 1 {
			t.rows = append(t.rows, row)
		}
	}
	return t.widths()
}

// line writes one row, which may need several lines of the terminal.
type line struct {
	b       *strings.Builder
	p       pen
	columns int
	at      int // column at which the next text begins
	spaces  int // spaces to write before the next text
}

func (l *line) row(row []cell, widths []int, left int) {
	for i, c := range row {
		least := columnsOf(c.text)
		if i == len(row)-1 {
			least = min(least, minText)
		}
		if l.columns > 0 && l.at > left && l.columns-l.at < least {
			l.newLine(min(left+2*len(gap), l.columns/2))
		}
		l.text(c)
		if i < len(row)-1 {
			l.space(max(0, widths[i]-columnsOf(c.text)) + len(gap))
		}
	}
}

// text writes a text. It continues on the next line, at the same column, where the terminal ends.
func (l *line) text(c cell) {
	start := l.at
	if l.columns == 0 {
		l.write(c)
		return
	}
	for k, part := range wrapped(c.text, max(1, l.columns-start)) {
		if k > 0 {
			l.newLine(start)
		}
		l.write(cell{part, c.style})
	}
}

// write writes a text. Spaces at its end are written before the next text.
func (l *line) write(c cell) {
	text := strings.TrimRight(c.text, " ")
	trailing := columnsOf(c.text) - columnsOf(text)
	if text != "" {
		l.b.WriteString(strings.Repeat(" ", l.spaces))
		l.b.WriteString(l.p.paint(c.style, text))
		l.spaces = 0
		l.at += columnsOf(text)
	}
	l.space(trailing)
}

func (l *line) space(n int) {
	l.spaces += n
	l.at += n
}

func (l *line) newLine(start int) {
	l.b.WriteByte('\n')
	l.at, l.spaces = start, start
}

func (l *line) end() { l.b.WriteByte('\n') }

// wrapped splits a text between words, so that each part has at most width columns. A longer word is
// split too.
func wrapped(text string, width int) []string {
	if columnsOf(text) <= width { // spaces at its beginning stay
		return []string{text}
	}
	var lines []string
	current := ""
	for word := range strings.SplitSeq(text, " ") {
		if next := joinedWith(" ", current, word); current == "" || columnsOf(next) <= width {
			current = next
		} else {
			lines, current = append(lines, current), word
		}
		for columnsOf(current) > width {
			head := prefix(current, width)
			lines, current = append(lines, head), current[len(head):]
		}
	}
	return append(lines, current)
}

// prefix returns the longest prefix of a text that has at most width columns. It has at least one
// character.
func prefix(text string, width int) string {
	for i, r := range text {
		if width -= columnsOfRune(r); width < 0 && i > 0 {
			return text[:i]
		}
	}
	return text
}
