package input

import "slices"

// maxNear is the largest number of candidates that Near returns.
const maxNear = 3

// Near returns the candidates that are most similar to a mistyped word, the most similar first.
// It returns at most three. It returns none if no candidate is similar enough.
func Near(word string, candidates []string) (near []string) {
	type place struct {
		name  string
		edits int
	}
	limit := len(word)/3 + 2
	var places []place
	for _, c := range candidates {
		// Comparing the lengths first is cheap, and excludes most candidates.
		if max(len(c)-len(word), len(word)-len(c)) >= limit {
			continue
		}
		if d := distance(word, c); d < limit {
			places = append(places, place{c, d})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return a.edits - b.edits })
	for _, p := range places[:min(len(places), maxNear)] {
		near = append(near, p.name)
	}
	return near
}

// distance returns the smallest number of edits that turn a into b. An edit inserts, deletes or
// replaces one byte, or swaps two bytes next to each other.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+differ(a[i], b[j]))
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
