// Package web serves the HTTP pages of a coordinator: /metrics for Prometheus, /livez and
// /readyz for probes, and / with a list of these pages.
//
// Each page asks the access policy before it answers. HTTP callers are not authenticated.
//
// # Concurrency
//
// Handlers run in the goroutines of net/http. Serve returns when all of them have
// returned, or 2 s after the end of its context.
package web
