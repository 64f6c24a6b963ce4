// Package wire is the border between what travels and what is meant: the
// limits of everything that comes from outside, in one table (limits.go), its
// validation (names.go, registration.go, requests.go), the errors
// that answer it (errors.go), and the translation between package health and
// meshhealth.v1 (state.go, report.go).
//
// What comes from outside is refused with INVALID_ARGUMENT and a BadRequest
// that names each field, what was wrong and what is allowed. Domain errors
// become gRPC codes here and nowhere else.
//
// # Concurrency
//
// Everything is safe for concurrent use; nothing keeps state.
package wire
