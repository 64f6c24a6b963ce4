// Package domain has the errors with which meshhealth refuses a call. The coordinator,
// the embedded server and the client return them. Package wire translates them to gRPC codes
// and back.
//
// # Concurrency
//
// Everything in this package is constant.
package domain
