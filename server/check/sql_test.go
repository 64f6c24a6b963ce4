package check_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server/check"
)

// database is a driver for database/sql and its connector. Its connections do not
// implement driver.Pinger.
type database struct {
	dead    atomic.Bool
	hangs   atomic.Bool
	queries atomic.Int32
	refuses atomic.Bool // new connections fail
	rowErr  atomic.Bool // reading rows fails
}

func (d *database) Connect(context.Context) (driver.Conn, error) {
	if d.refuses.Load() {
		return nil, errDown
	}
	return &session{d}, nil
}
func (d *database) Driver() driver.Driver { return nil }

type session struct{ d *database }

func (*session) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (*session) Close() error                        { return nil }
func (*session) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }

func (s *session) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	s.d.queries.Add(1)
	if s.d.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.d.dead.Load() || query != "SELECT 1" {
		return nil, errDown
	}
	return &rows{d: s.d, left: 3}, nil
}

type rows struct {
	d    *database
	left int
}

func (*rows) Columns() []string { return []string{"one"} }
func (*rows) Close() error      { return nil }

func (r *rows) Next(to []driver.Value) error {
	if r.d.rowErr.Load() {
		return errDown
	}
	if r.left--; r.left < 0 {
		return io.EOF
	}
	to[0] = int64(1)
	return nil
}

// pinging is a database whose connections implement driver.Pinger.
type pinging struct{ database }

func (d *pinging) Connect(context.Context) (driver.Conn, error) {
	return &pingSession{session{&d.database}}, nil
}

type pingSession struct{ session }

func (s *pingSession) Ping(context.Context) error {
	if s.d.dead.Load() {
		return errDown
	}
	return nil
}

func open(t *testing.T, c driver.Connector) *sql.DB {
	t.Helper()
	db := sql.OpenDB(c)
	t.Cleanup(func() { db.Close() })
	return db
}

// TestSQLOfADriverThatCannotPing: SQL returns an error, although PingContext succeeds.
func TestSQLOfADriverThatCannotPing(t *testing.T) {
	d := &database{}
	db := open(t, d)
	run := check.SQL(db)
	for _, dead := range []bool{false, true, true} {
		d.dead.Store(dead)
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatalf("database/sql has noticed: %v", err)
		}
		wantEvidence(t, "SQL", run, machine.Fail, "cannot ping", "check.Query")
	}
	d.refuses.Store(true)
	db.SetMaxIdleConns(0) // closes the idle connections
	wantEvidence(t, "SQL", run, machine.Fail, "down")
}

// hidden is a database whose connections have a type of their own, as those of bun have.
type hidden struct{ *sql.DB }

type hiddenConn struct{ *sql.Conn }

func (h hidden) Conn(ctx context.Context) (hiddenConn, error) {
	c, err := h.DB.Conn(ctx)
	return hiddenConn{c}, err
}

func TestSQLOfADriverThatCanPing(t *testing.T) {
	d := &pinging{}
	db := open(t, d)
	embeds := struct{ *sql.DB }{db} // like sqlx.DB
	for name, run := range map[string]check.Func{"sql.DB": check.SQL(db), "embedded": check.SQL(embeds)} {
		for range 2 {
			wantEvidence(t, name, run, machine.Pass)
			d.dead.Store(true)
			wantEvidence(t, name, run, machine.Fail, "down")
			d.dead.Store(false)
		}
	}
	wantEvidence(t, "hidden", check.SQL(hidden{db}), machine.Fail, "pass its *sql.DB")
	wantEvidence(t, "hidden query", check.Query(hidden{db}, "SELECT 1"), machine.Pass)
}

// TestQuery: Query runs the query and reads all rows.
func TestQuery(t *testing.T) {
	d := &database{}
	db := open(t, d)
	db.SetMaxOpenConns(1) // the next run fails if a connection is not released
	run := check.Query(db, "SELECT 1")
	for range 3 {
		wantEvidence(t, "well", run, machine.Pass)
	}
	d.dead.Store(true)
	wantEvidence(t, "dead", run, machine.Fail, "down")
	d.dead.Store(false)
	d.rowErr.Store(true)
	wantEvidence(t, "dies while it answers", run, machine.Fail, "down")
	d.rowErr.Store(false)
	wantEvidence(t, "well again", run, machine.Pass)
	if n := d.queries.Load(); n != 6 {
		t.Errorf("%d queries, want one a run", n)
	}
	wantEvidence(t, "wrong query", check.Query(db, "SELEKT"), machine.Fail, "down")
	wantEvidence(t, "no query", check.Query(db, ""), machine.Fail, "query is empty")
	wantEvidence(t, "no db", check.Query(nil, "SELECT 1"), machine.Fail, "is nil")
}

// TestQueryPool is TestSQLPool for Query and with the pool of database/sql.
func TestQueryPool(t *testing.T) {
	for name, c := range map[string]struct {
		most  int
		holds bool
		hangs bool
		want  health.Status
	}{
		"well":      {most: 2, holds: true, want: health.Serving},
		"exhausted": {most: 1, holds: true, want: health.Degraded},
		"hangs":     {most: 2, hangs: true, want: health.NotServing},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &database{}
				db := open(t, d)
				db.SetMaxOpenConns(c.most)
				if c.holds {
					conn, err := db.Conn(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
				}
				d.hangs.Store(c.hangs)
				got := once(t, check.Query(db, "SELECT 1"))
				if got.Status != c.want || got.Unit != "connections" || got.ResponseTime > 3100*time.Millisecond {
					t.Errorf("%v (%s) after %v, unit %q; want %v", got.Status, got.Reason, got.ResponseTime, got.Unit, c.want)
				}
			})
		})
	}
}
