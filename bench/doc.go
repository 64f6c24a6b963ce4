// Command bench compares the speed and the memory of this project with other programs and
// libraries, its peers. `make bench` runs all benchmarks. The flag -run selects some of
// them.
//
// Most figures are ratios: the time of this project divided by the time of its peer, or the
// same for CPU time or memory. In each round, the two take turns, so that both run on the
// same machine in the same minute. The median of the ratios of all rounds is printed,
// beside the smallest and the greatest ratio. A figure is "met" if the median meets the
// goal. It is "noise" if only the smallest ratio meets the goal, and "missed" otherwise.
//
// A flip is a change of the status of an instance between SERVING and NOT_SERVING. A stock
// server or client is one of grpc-go, without the libraries of this project.
//
// # Concurrency
//
// One measurement runs at a time. The measured servers run in this process. A
// server whose CPU time or memory is measured alone runs in a child process
// (child.go).
package main
