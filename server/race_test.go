//go:build race

package server_test

// raced reports that the race detector is on, which makes calls about ten times slower.
const raced = true
