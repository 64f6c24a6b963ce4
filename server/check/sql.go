package check

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// SQL returns a check that pings a database. db is a *sql.DB or a type that embeds it, such as
// *sqlx.DB; for a *bun.DB pass its field DB. If db has the method Stats, the check shows how many
// connections are in use. If a ping gets no connection because all are in use, the check only
// warns, because a restart does not help a busy service. So if a database fails while all
// connections are in use, the check warns until a connection is released.
//
// Some drivers do not implement driver.Pinger. For them, database/sql reports success if a
// connection is open. With such a driver, the check fails with an error that names Query. A driver
// that wraps another one may hide this. Use Query with such drivers.
func SQL(db interface{ PingContext(context.Context) error }) Func {
	d := &pings{db: db}
	return requireClient("db", db, pooled(db, d.run))
}

// Query returns a check that runs a query, such as "SELECT 1", and reads all rows. The query should
// return few rows. db is a *sql.DB, *sqlx.DB or *bun.DB with any driver. Like the check of SQL, the
// check shows how many connections are in use, and only warns if all are in use.
func Query(db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, query string,
) Func {
	if query == "" {
		return invalid("query", "is empty; allowed: a query that the database answers, such as SELECT 1")
	}
	return requireClient("db", db, pooled(db, func(ctx context.Context) error {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return errors.Join(rows.Err(), rows.Close())
	}))
}

// pooled returns a new check that calls `ask`, which is a check, and shows how many connections are
// in use. If `ask` times out while all connections are in use, the new check only warns. If db has
// no method Stats, pooled returns `ask` unchanged.
func pooled(db any, ask Func) Func {
	pool, _ := db.(interface{ Stats() sql.DBStats })
	if pool == nil {
		return ask
	}
	return func(ctx context.Context) error {
		// The check `ask` must return before ctx ends. Otherwise the result would be a timeout
		// and no warning.
		short, cancel := shorten(ctx)
		defer cancel()
		err := ask(short)
		stats := pool.Stats()
		server.Observe(ctx, float64(stats.InUse), "connections")
		if full := stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections; full && errors.Is(err, context.DeadlineExceeded) {
			return health.Warnf("pool exhausted: %d of %d connections are in use", stats.InUse, stats.MaxOpenConnections)
		}
		return err
	}
}

// shorten returns a context with three quarters of the remaining time of ctx.
func shorten(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*3/4)
}

// pings holds the database and the state of a check that SQL has made.
type pings struct {
	db      interface{ PingContext(context.Context) error }
	canPing atomic.Bool // true after verifyDriver has succeeded
}

func (p *pings) run(ctx context.Context) error {
	if err := p.db.PingContext(ctx); err != nil || p.canPing.Load() {
		return err
	}
	if err := p.verifyDriver(ctx); err != nil {
		return err
	}
	p.canPing.Store(true)
	return nil
}

var (
	errCannotPing = errors.New("the driver cannot ping, because it does not implement driver.Pinger; use check.Query with a query")
	errCannotTell = errors.New("SQL cannot see whether the driver can ping, because the type hides its connections; pass its *sql.DB, or use check.Query")
)

// verifyDriver returns an error if the driver cannot ping, or if nothing shows whether the driver
// can. It accepts a type that does not use database/sql: such a type implements PingContext itself.
func (p *pings) verifyDriver(ctx context.Context) error {
	if _, standard := p.db.(interface{ Driver() driver.Driver }); !standard {
		return nil
	}
	from, ok := p.db.(interface {
		Conn(context.Context) (*sql.Conn, error)
	})
	if !ok {
		return errCannotTell
	}
	conn, err := from.Conn(ctx)
	if err != nil {
		return fmt.Errorf("cannot get a connection to inspect the driver: %w", err)
	}
	can := false
	err = conn.Raw(func(c any) error {
		_, can = c.(driver.Pinger)
		return nil
	})
	switch err := errors.Join(err, conn.Close()); {
	case err != nil:
		return err
	case !can:
		return errCannotPing
	}
	return nil
}
