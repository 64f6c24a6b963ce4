// Package explain explains a status: what it is based on, where the trouble began, which layers have
// computed it, and what would change it next.
//
// [Explain] computes an [Explanation] from a published state, the states around it and an inspection
// of the mesh. The sentences for people are made from the other fields, in sentences.go only. So all
// surfaces print the same words.
//
// # Concurrency
//
// The functions of this package have no side effects and may be called concurrently.
package explain
