package check_test

import (
	"context"
	"database/sql"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server/check"
)

// pinger implements the interfaces of all clients.
type pinger struct{ err error }

func (p pinger) PingContext(context.Context) error { return p.err }
func (p pinger) IsClosed() bool                    { return p.err != nil }
func (p pinger) IsConnected() bool                 { return p.err == nil }
func (p pinger) Ping(context.Context) error        { return p.err }

// redisClient has the Ping of go-redis.
type redisClient struct{ err error }

type redisReply struct{ err error }

func (r *redisReply) Err() error { return r.err }

func (c redisClient) Ping(context.Context) *redisReply { return &redisReply{c.err} }

func TestClients(t *testing.T) {
	for name, make := range map[string]func(error) check.Func{
		"SQL":       func(err error) check.Func { return check.SQL(pinger{err}) },
		"Ping":      func(err error) check.Func { return check.Ping(pinger{err}) },
		"Redis":     func(err error) check.Func { return check.Redis(redisClient{err}) },
		"Open":      func(err error) check.Func { return check.Open(pinger{err}) },
		"Connected": func(err error) check.Func { return check.Connected(pinger{err}) },
	} {
		wantEvidence(t, name, make(nil), machine.Pass)
		wantEvidence(t, name, make(errDown), machine.Fail)
	}
}

func TestClientsThatAreNot(t *testing.T) {
	for name, run := range map[string]check.Func{
		"SQL": check.SQL(nil), "Ping": check.Ping(nil), "Redis": check.Redis[*redisReply](nil),
		"Open": check.Open(nil), "Connected": check.Connected(nil), "GRPC": check.GRPC(nil, ""),
		"Gauge": check.Gauge(nil, "jobs", check.AtMost(1, 2)), "Cert": check.Cert(nil, 0),
	} {
		wantEvidence(t, name, run, machine.Fail, "is nil")
	}
}

// pool is a database with the given statistics of its connection pool.
type pool struct {
	stats sql.DBStats
	hangs bool
	err   error
}

func (p *pool) Stats() sql.DBStats { return p.stats }

func (p *pool) PingContext(ctx context.Context) error {
	if p.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return p.err
}

// TestSQLPool: if the pool has no free connection, the check warns. If the database does
// not answer, the check fails, even if the pool is full afterwards.
func TestSQLPool(t *testing.T) {
	full := sql.DBStats{MaxOpenConnections: 10, InUse: 10, OpenConnections: 10}
	for name, c := range map[string]struct {
		pool *pool
		want health.Status
		used float64
	}{
		"well":                   {&pool{stats: sql.DBStats{MaxOpenConnections: 10, InUse: 3}}, health.Serving, 3},
		"full, but it got one":   {&pool{stats: full}, health.Serving, 10},
		"exhausted":              {&pool{stats: full, hangs: true}, health.Degraded, 10},
		"down":                   {&pool{stats: full, err: errDown}, health.NotServing, 10},
		"hangs with some free":   {&pool{stats: sql.DBStats{MaxOpenConnections: 10, InUse: 9}, hangs: true}, health.NotServing, 9},
		"hangs without any most": {&pool{stats: sql.DBStats{InUse: 900}, hangs: true}, health.NotServing, 900},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := once(t, check.SQL(c.pool))
				if got.Status != c.want || got.Value != c.used || got.Unit != "connections" {
					t.Errorf("%v %v %s (%s), want %v %v", got.Status, got.Value, got.Unit, got.Reason, c.want, c.used)
				}
				if got.ResponseTime > 3100*time.Millisecond {
					t.Errorf("took %v of 4 s, want room to be judged", got.ResponseTime)
				}
			})
		})
	}
}
