package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// printFigures prints one line for each instance whose figures have come.
func (w *watchPrinter) printFigures(all []client.Figures, at time.Time) error {
	for i := range all {
		f := &all[i]
		if w.f.json() {
			if err := printJSON(w.stdout, f.Proto()); err != nil {
				return err
			}
			continue
		}
		name := wire.CleanTo(f.ID.String(), maxShown)
		w.nameWidth = max(w.nameWidth, columnsOf(name))
		line := at.In(w.zone).Format(time.TimeOnly) + gap + pad(name, w.nameWidth) + gap + figuresText(f.Metrics)
		if _, err := fmt.Fprintln(w.stdout, wire.CleanTo(line, maxFiguresLine)); err != nil {
			return err
		}
	}
	return nil
}

// maxFiguresLine is the largest number of bytes of a line with figures. It has room for all gauges.
const maxFiguresLine = 16 << 10

// figuresText returns the figures of an instance in one line. Gauges are ordered by name.
func figuresText(m *health.Metrics) string {
	parts := []string{
		plural(int(min(m.Runs, 1<<53)), "run"), strconv.FormatUint(m.Failures, 10) + " failed",
		"p50 " + m.ResponseTimeP50.String(), "p99 " + m.ResponseTimeP99.String(),
	}
	for _, name := range slices.Sorted(maps.Keys(m.Gauges)) {
		parts = append(parts, name+"="+strconv.FormatFloat(m.Gauges[name], 'g', -1, 64))
	}
	return strings.Join(parts, gap)
}
