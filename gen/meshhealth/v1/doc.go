// Package meshhealthv1 is generated from proto/meshhealth/v1 by `make
// generate`; nothing but this comment is written by hand.
//
// # Concurrency
//
// As of any generated protobuf package: a message is not safe for concurrent
// mutation.
package meshhealthv1
