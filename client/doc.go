// Package client registers instances with a coordinator, and watches the statuses that
// the coordinator publishes.
//
//	c, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
//	reg := c.RegisterAsync(client.Instance{
//		Service: "payments", Address: listener.Addr().String(), Feed: srv.Feed(),
//	})
//	defer reg.Close(ctx)
//
// Service is the name that people and dashboards see. The coordinator asks the instance for the
// health of the name Service, or of HealthName if this is set. The server of the instance must
// know this name as its Config.Service. The default name of the instance is HOSTNAME:PORT.
//
// A [Registration] renews its lease, and registers again after any outage of the
// coordinator. It pushes the status of the instance while the coordinator cannot reach the
// instance. A Registration ends when it is closed, when another process registers under the
// same name, or when the coordinator refuses it. Done, Err and the log report the end.
//
// [Client.Watch] is a loop over all changes. After an interruption the loop resumes at the
// same place. It yields a Stale update when earlier entries may be out of date.
//
// A failed unary call is repeated if this cannot do harm (retry.go). A broken Watch or Report
// stream is opened again after a random pause. One budget limits how often a Client opens
// streams (backoff.go). A dead connection is closed after a call on it has timed out
// (connections.go). HTTP/2 pings are not used, because many servers answer them with GOAWAY.
//
// # Concurrency
//
// A [Client] and a [Registration] are safe for concurrent use. Each Registration has a
// goroutine. Registration.Close and Client.Close wait for this goroutine. Watch runs in the
// goroutine of its caller.
//
// One Client serves a whole process over one connection. The coordinator recognises all
// registrations with one Feed, or without a Feed, as one process by their secret key. The
// coordinator stores the key and does not publish it, and the library never logs it.
package client
