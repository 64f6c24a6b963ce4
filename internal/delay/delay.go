package delay

import "time"

// Between returns a duration from least to most, in proportion to random, which is from 0 to 1.
func Between(least, most time.Duration, random float64) time.Duration {
	return least + time.Duration(random*float64(most-least))
}

// Around returns d plus or minus a tenth, in proportion to random, which is from 0 to 1.
func Around(d time.Duration, random float64) time.Duration { return Between(d-d/10, d+d/10, random) }

// Doubled returns d after n doublings, or most if that is shorter.
func Doubled(d time.Duration, n int, most time.Duration) time.Duration {
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}
