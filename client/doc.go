// Package client registers a service with a coordinator, and watches what the
// coordinator knows.
//
//	c, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
//	reg := c.RegisterAsync(client.Instance{
//		Service: "payments", Instance: "a:8080", Address: ":8080", Feed: srv.Feed(),
//	})
//	defer reg.Close(ctx)
//
// A [Registration] renews itself, comes back after any outage of the
// coordinator, and pushes the service's status when the coordinator says that
// it cannot reach it. It ends when it is closed, or when another process takes
// over the name.
//
// [Client.Watch] is a loop over everything that changes. It resumes where it
// was cut off, and says when what it has told may be out of date.
//
// Calls are tried again where that cannot do harm (retry.go). Streams are not:
// a stream opened again behind the caller's back has lost its place, so Watch
// and Report have loops of their own, with full jitter and one budget for all
// of a Client's streams (backoff.go). A connection that has died without a
// word is cut as soon as silence on it has cost somebody something (lines.go);
// HTTP/2 pings are not used, for many servers answer them with GOAWAY.
//
// # Concurrency
//
// A [Client] and a [Registration] are safe for concurrent use; each
// Registration has a goroutine, joined by its Close and by the Client's. Watch
// runs in the goroutine that ranges over it and leaves nothing behind. One
// Client is meant to serve a whole process: it is one connection, and what it
// registers is recognised as one process.
package client
