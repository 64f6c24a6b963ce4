package check

import (
	"context"
	"errors"
	"fmt"
)

// Func has the type of server.Check.Run.
type Func = func(context.Context) error

// Ping calls Ping of a client, such as a pgxpool.Pool, a pgx.Conn or a franz-go
// kgo.Client.
func Ping(c interface{ Ping(context.Context) error }) Func {
	return requireClient("client", c, func(ctx context.Context) error { return c.Ping(ctx) })
}

// Redis calls Ping of a go-redis client. Any kind of go-redis client is allowed.
func Redis[R interface{ Err() error }](c interface{ Ping(context.Context) R }) Func {
	return requireClient("client", c, func(ctx context.Context) error { return c.Ping(ctx).Err() })
}

// Open fails while c is closed, such as an amqp091 Connection or Channel. It uses the
// state of the client and sends nothing.
func Open(c interface{ IsClosed() bool }) Func {
	return requireClient("client", c, func(context.Context) error {
		if c.IsClosed() {
			return errors.New("the connection is closed")
		}
		return nil
	})
}

// Connected fails while c is not connected, such as a nats.Conn. It uses the state of the
// client and sends nothing.
func Connected(c interface{ IsConnected() bool }) Func {
	return requireClient("client", c, func(context.Context) error {
		if !c.IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
}

// requireClient returns run, or a check that fails if client is nil. argument is the name
// of the client in the error.
func requireClient(argument string, client any, run Func) Func {
	if client == nil {
		return invalid(argument, "is nil")
	}
	return run
}

// invalid returns a check that always fails because of an invalid argument.
func invalid(argument, format string, args ...any) Func {
	err := fmt.Errorf("the check's %s %s", argument, fmt.Sprintf(format, args...))
	return func(context.Context) error { return err }
}
