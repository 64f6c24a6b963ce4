package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/meshhealth/meshhealth/internal/chaos"
)

// printVerdicts prints a table with the results of all chaos scenarios. Below the table it prints
// remarks on the results.
func printVerdicts(a *app, all []chaos.Verdict, p pen) error {
	t := table{head: []string{
		"SCENARIO", "INSTANCES", "TRANSITIONS", "FALSE", "MISSED", "LATE", "P50", "P99", "MAX", "TOOK", "VERDICT",
	}}
	for i := range all {
		t.add(verdictRow(&all[i])...)
	}
	if err := t.print(a.stdout, p, a.columns); err != nil {
		return err
	}
	for i := range all {
		for _, line := range remarks(&all[i]) {
			if _, err := fmt.Fprintf(a.stdout, "%s: %s\n", all[i].Scenario, cleanLines(line)); err != nil {
				return err
			}
		}
	}
	return nil
}

// verdictRow returns the table row for the result of one scenario.
func verdictRow(v *chaos.Verdict) []cell {
	verdict := map[string]style{"pass": good, "FAIL": bad}[v.Word()]
	row := []cell{{text: v.Scenario}}
	for _, n := range []int{v.Instances, v.Transitions, v.False, v.Missed, v.Late} {
		row = append(row, cell{text: strconv.Itoa(n)})
	}
	for _, percent := range []int{50, 99, 100} {
		row = append(row, cell{text: rounded(v.Detection(percent))})
	}
	return append(row, cell{text: v.Took.Round(100 * time.Millisecond).String()}, cell{v.Word(), verdict})
}

// rounded formats the time that the coordinator has needed to publish a changed status. It returns
// a dash for 0, which means that no time was measured.
func rounded(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// remarks returns the parts of a result that do not fit into the table. Each part is one text.
func remarks(v *chaos.Verdict) []string {
	var lines []string
	if v.Skipped != "" {
		lines = append(lines, v.Skipped)
	}
	lines = append(lines, v.Notes...)
	for _, failure := range v.Failures {
		lines = append(lines, "FAIL: "+failure)
	}
	return lines
}

// printVerdict prints the result of one scenario as a line of JSON.
func printVerdict(a *app, v *chaos.Verdict) error {
	text, err := json.Marshal(struct {
		Scenario    string   `json:"scenario"`
		Verdict     string   `json:"verdict"`
		Instances   int      `json:"instances"`
		Transitions int      `json:"transitions"`
		False       int      `json:"false"`
		Missed      int      `json:"missed"`
		Late        int      `json:"late"`
		P50         float64  `json:"detectionP50Seconds"`
		P99         float64  `json:"detectionP99Seconds"`
		Max         float64  `json:"detectionMaxSeconds"`
		Took        float64  `json:"tookSeconds"`
		Notes       []string `json:"notes"`
		Failures    []string `json:"failures"`
		Skipped     string   `json:"skipped,omitempty"`
	}{
		v.Scenario, v.Word(), v.Instances, v.Transitions, v.False, v.Missed, v.Late,
		seconds(v.Detection(50)), seconds(v.Detection(99)), seconds(v.Detection(100)), seconds(v.Took),
		noNil(v.Notes), noNil(v.Failures), v.Skipped,
	})
	if err != nil {
		return err
	}
	return printLine(a.stdout, text)
}

func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }

func noNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
