package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report collects the rows of the printed table.
type report struct{ rows [][5]string }

func newReport() *report {
	return &report{rows: [][5]string{{"WHAT", "FIGURE", "MIN–MAX", "GOAL", ""}}}
}

// ratio adds a row with the median, the smallest and the greatest ratio of all rounds. The goal is
// met if the median is at most `goal`.
func (r *report) ratio(what string, ratios []float64, goal float64) {
	slices.Sort(ratios)
	least, mid, most := ratios[0], ratios[len(ratios)/2], ratios[len(ratios)-1]
	verdict := "missed"
	switch {
	case mid <= goal:
		verdict = "met"
	case least <= goal:
		verdict = "noise"
	}
	digits := 2
	if goal < 0.1 {
		digits = 4
	}
	r.rows = append(r.rows, [5]string{
		what, fmt.Sprintf("%.*f", digits, mid), fmt.Sprintf("%.*f–%.*f", digits, least, digits, most), fmt.Sprintf("≤ %g", goal), verdict,
	})
}

// figure adds a row with one figure as a text. met is true if the figure meets the goal. If the text
// goal is empty, the figure has no goal.
func (r *report) figure(what, figure, goal string, met bool) {
	verdict := ""
	if goal != "" {
		verdict = map[bool]string{true: "met", false: "missed"}[met]
	}
	r.rows = append(r.rows, [5]string{what, figure, "", goal, verdict})
}

func (r *report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range r.rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", row[0], row[1], row[2], row[3], row[4])
	}
	return t.Flush()
}

// times has the results of repeated measurements of the same thing.
type times []time.Duration

// quantile sorts t and returns the q-quantile of t. The 0.5-quantile is the median.
func (t times) quantile(q float64) time.Duration {
	slices.Sort(t)
	return t[int(float64(len(t)-1)*q)]
}

func over(a, b time.Duration) float64 { return float64(a) / float64(b) }

// inMicros returns a text with one number for each argument: the q-quantile of the times, in
// microseconds.
func inMicros(q float64, all ...times) string {
	var b strings.Builder
	for i, t := range all {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, t.quantile(q).Microseconds())
	}
	return b.String() + " µs"
}
