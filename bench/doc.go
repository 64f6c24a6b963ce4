// Command bench measures this project and its peers in the same run, and prints
// ratios. `make bench` runs all benchmarks. The option -run selects some of them.
//
// A figure is the median of the ratios of all rounds. In each round, this project
// and the peer take turns. The smallest and the greatest ratio are printed beside
// the median. A figure is "met" if the median meets the goal. It is "noise" if only
// the smallest ratio meets the goal, and "missed" otherwise.
//
// # Concurrency
//
// One measurement runs at a time. The measured servers run in this process. A
// server whose CPU time or memory is measured alone runs in a child process
// (child.go).
package main
