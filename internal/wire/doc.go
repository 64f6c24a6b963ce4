// Package wire translates between gRPC messages and the values of this program.
//
// It has the limits of all input in one table (limits.go), and checks requests (names.go,
// registration.go, requests.go). It translates between package health and meshhealth.v1 (state.go,
// report.go).
//
// Bad input is refused with INVALID_ARGUMENT and a BadRequest, which says for each field what is
// wrong and what is allowed. Only this package translates errors into gRPC codes (errors.go).
//
// # Concurrency
//
// All functions may be called concurrently. The comment of each type says whether its methods may
// be called concurrently.
package wire
