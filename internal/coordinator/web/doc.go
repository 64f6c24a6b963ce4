// Package web serves the HTTP port of a coordinator: /metrics for Prometheus, and /livez and /readyz
// for probes. It also serves the page for people below /ui/, and the methods that read. The path /
// lists all of them.
//
// The methods ask the access policy. They know the caller from the context, as over gRPC. /metrics asks it
// on a listener with TLS, because nobody has an identity on another one. A plaintext listener beyond
// loopback serves only the pages for machines.
//
// # The page
//
// The folder dist has the files of the page. /ui/assets/NAME is the file NAME. Every other path below
// /ui/ is index.html, in which the server fills in the elements base and meta with the name
// meshhealth-build. Nothing may be inline in the page, because the Content-Security-Policy forbids it.
//
// # Concurrency
//
// Handlers run in the goroutines of net/http. Serve returns when all of them have
// returned, or 2 s after the end of its context.
package web
