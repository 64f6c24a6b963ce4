package main

import "testing"

// From best to worst the exit codes are 0, 1, 3 and 2.
func TestWorstExitCode(t *testing.T) {
	order := []int{0, 1, 3, 2}
	for i, a := range order {
		for j, b := range order {
			if got, want := worstExitCode(a, b), order[max(i, j)]; got != want {
				t.Errorf("of %d and %d: %d, want %d", a, b, got, want)
			}
		}
	}
	if worstExitCode() != 0 || worstExitCode(1, 3, 0, 1) != 3 {
		t.Error("worstExitCode of no codes, or of several, is wrong")
	}
}
