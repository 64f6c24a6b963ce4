package main

import (
	"io"
	"strings"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// cell is a text of a table and how it looks.
type cell struct {
	text  string
	style style
}

// table is printed with columns as wide as their widest cell. The last column
// is cut at the end of a terminal; nothing else ever is, and in a pipe nothing.
type table struct {
	head []string
	rows [][]cell
}

func (t *table) add(cells ...cell) {
	for i := range cells {
		cells[i].text = wire.CleanTo(cells[i].text, 4*wire.MaxText)
	}
	t.rows = append(t.rows, cells)
}

// gap is between two columns.
const gap = "  "

// render prints the table for a terminal of so many columns, 0 if it is none.
func (t *table) render(w io.Writer, p pen, columns int) error {
	widths := t.widths()
	var b strings.Builder
	if t.head != nil {
		head := make([]cell, len(t.head))
		for i, text := range t.head {
			head[i] = cell{text, faint}
		}
		line(&b, p, widths, head, columns)
	}
	for _, row := range t.rows {
		line(&b, p, widths, row, columns)
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

// line prints one row. Nothing follows the last text of it, not even spaces.
func line(b *strings.Builder, p pen, widths []int, row []cell, columns int) {
	at, owed := 0, 0
	for i, c := range row {
		text := c.text
		if last := i == len(widths)-1; last && columns > 0 {
			text = cutColumns(text, max(columns-at, 8), p.dots())
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", owed))
			b.WriteString(p.paint(c.style, text))
			owed = 0
		}
		owed += widths[i] - columnsOf(text) + len(gap)
		at += widths[i] + len(gap)
	}
	b.WriteByte('\n')
}
