// Command bench measures us and a peer in the same run, and prints ratios.
// `make bench` runs it; bench -h says how to run a part.
//
// A figure is the median of the ratios of its rounds, in which we and the peer
// take turns; the least and the greatest stand beside it. It is met if the
// median meets the goal, noise if the goal lies between them, missed otherwise.
//
// # Concurrency
//
// One measurement at a time. What serves is in this process, except the
// coordinators whose CPU or memory is measured: those are processes of their
// own (child.go).
package main
