package check

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// Func is what server.Check.Run is.
type Func = func(context.Context) error

// SQL pings a database: *sql.DB, *sqlx.DB, *bun.DB. If it has Stats, as they do,
// the check shows how many connections are in use. When a ping gets none because
// all are, the check is degraded, not failed: restarting a busy service helps
// nobody. A database that dies while all are in use is degraded until they are
// given back.
func SQL(db interface{ PingContext(context.Context) error }) Func {
	pool, _ := db.(interface{ Stats() sql.DBStats })
	return guarded("db", db, func(ctx context.Context) error {
		if pool == nil {
			return db.PingContext(ctx)
		}
		// What is left tells a full pool from a slow database.
		short, cancel := most(ctx)
		defer cancel()
		err := db.PingContext(short)
		stats := pool.Stats()
		server.Observe(ctx, float64(stats.InUse), "connections")
		if full := stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections; full && errors.Is(err, context.DeadlineExceeded) {
			return health.Warnf("pool exhausted: %d of %d connections are in use", stats.InUse, stats.MaxOpenConnections)
		}
		return err
	})
}

// most gives ctx three quarters of the time it has.
func most(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*3/4)
}

// Ping pings what pings: a pgxpool.Pool, a pgx.Conn, a franz-go kgo.Client.
func Ping(c interface{ Ping(context.Context) error }) Func {
	return guarded("client", c, func(ctx context.Context) error { return c.Ping(ctx) })
}

// Redis pings a go-redis client, whatever its kind.
func Redis[R interface{ Err() error }](c interface{ Ping(context.Context) R }) Func {
	return guarded("client", c, func(ctx context.Context) error { return c.Ping(ctx).Err() })
}

// Open fails while c is closed: an amqp091 Connection or Channel. It asks the
// client, not the network.
func Open(c interface{ IsClosed() bool }) Func {
	return guarded("client", c, func(context.Context) error {
		if c.IsClosed() {
			return errors.New("the connection is closed")
		}
		return nil
	})
}

// Connected fails while c is not connected: a nats.Conn. It asks the client,
// not the network.
func Connected(c interface{ IsConnected() bool }) Func {
	return guarded("client", c, func(context.Context) error {
		if !c.IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
}

// guarded returns run, or what fails for want of a client.
func guarded(what string, client any, run Func) Func {
	if client == nil {
		return wrong(what, "is nil")
	}
	return run
}

// wrong is a check that was made with arguments that cannot work.
func wrong(argument, format string, args ...any) Func {
	err := fmt.Errorf("the check's %s %s", argument, fmt.Sprintf(format, args...))
	return func(context.Context) error { return err }
}
