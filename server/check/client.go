package check

import (
	"context"
	"errors"
	"fmt"
)

// Func is a check: the type of the field server.Check.Run.
type Func = func(context.Context) error

// Ping returns a check that calls the method Ping of a client, such as a pgxpool.Pool, a pgx.Conn
// or a franz-go kgo.Client.
func Ping(c interface{ Ping(context.Context) error }) Func {
	return requireClient("client", c, func(ctx context.Context) error { return c.Ping(ctx) })
}

// Redis returns a check that calls Ping of any kind of go-redis client.
func Redis[R interface{ Err() error }](c interface{ Ping(context.Context) R }) Func {
	return requireClient("client", c, func(ctx context.Context) error { return c.Ping(ctx).Err() })
}

// Open returns a check that fails while c is closed. c is, for example, an amqp091 Connection or
// Channel. The check uses the state of the client and sends nothing.
func Open(c interface{ IsClosed() bool }) Func {
	return requireClient("client", c, func(context.Context) error {
		if c.IsClosed() {
			return errors.New("the connection is closed")
		}
		return nil
	})
}

// Connected returns a check that fails while c is not connected. c is, for example, a nats.Conn. The
// check uses the state of the client and sends nothing.
func Connected(c interface{ IsConnected() bool }) Func {
	return requireClient("client", c, func(context.Context) error {
		if !c.IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
}

// requireClient returns `run`, which is a check. If client is nil, it returns a check that always
// fails instead. argument is the name of the missing argument in the error text.
func requireClient(argument string, client any, run Func) Func {
	if client == nil {
		return invalid(argument, "is nil")
	}
	return run
}

// invalid returns a check that always fails, because the argument with this name is not valid.
func invalid(argument, format string, args ...any) Func {
	err := fmt.Errorf("the check's %s %s", argument, fmt.Sprintf(format, args...))
	return func(context.Context) error { return err }
}
