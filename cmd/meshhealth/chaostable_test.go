package main

import (
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/chaos"
)

// verdicts has one verdict of each kind.
func verdicts() []chaos.Verdict {
	passed := chaos.Verdict{Scenario: "pause", Instances: 1000, Took: 28612 * time.Millisecond, Notes: []string{"a note\x1b[2J"}}
	passed.Transitions, passed.Detections = 3, []time.Duration{123456, time.Millisecond, 1234567890}
	bad := chaos.Verdict{Scenario: "kill", Instances: 20, Took: time.Second, Failures: []string{"1 false, 0 missed, 2 late"}}
	bad.Transitions, bad.False, bad.Late = 9, 1, 2
	return []chaos.Verdict{passed, bad, {Scenario: "slowdisk", Skipped: "there is no strace"}}
}

func TestChaosTable(t *testing.T) {
	var s shell
	if err := printVerdicts(s.app(), verdicts(), pen{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/chaos.txt", s.out.String())
}

func TestChaosJSON(t *testing.T) {
	var s shell
	for _, v := range verdicts() {
		if err := printVerdict(s.app(), &v); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "testdata/chaos.jsonl", s.out.String())
}
