package delay

import "time"

// Between returns a duration between shortest and longest. random is a number from 0, which gives
// the shortest duration, to 1, which gives the longest.
func Between(shortest, longest time.Duration, random float64) time.Duration {
	return shortest + time.Duration(random*float64(longest-shortest))
}

// Around returns d plus or minus up to a tenth of d. random is a number from 0, which gives 0.9 d,
// to 1, which gives 1.1 d.
func Around(d time.Duration, random float64) time.Duration { return Between(d-d/10, d+d/10, random) }

// Doubled doubles d n times, and returns the result. It returns longest if the result would be
// longer than this.
func Doubled(d time.Duration, n int, longest time.Duration) time.Duration {
	for ; n > 0 && d < longest; n-- {
		d *= 2
	}
	return min(d, longest)
}
