// Package envoyconfig writes and reads the configuration that Envoy starts with, its bootstrap. It also
// writes the bootstrap of gRPC clients that use xDS.
//
// [Bootstrap] writes a bootstrap whose Envoy follows the health that a coordinator publishes. [Parse]
// reads any bootstrap as strictly as Envoy does, and [Document.Advice] says what in it makes Envoy
// learn of health late, or not at all.
//
// # Concurrency
//
// The package has values and functions only. Only one goroutine at a time may use a Document.
package envoyconfig
