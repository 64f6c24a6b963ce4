package real_test

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"github.com/meshhealth/meshhealth/server/check"
)

func TestRedis(t *testing.T) {
	port := freePort(t)
	cmd := func() *exec.Cmd {
		return exec.Command(program(t, "redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	}
	p := launch(t, cmd())
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	t.Cleanup(func() { _ = c.Close() })
	run := check.Redis(c)
	become(t, run, machine.Pass)
	p.kill()
	become(t, run, machine.Fail)
	wantWords(t, once(t, run), "refused")
	launch(t, cmd())
	become(t, run, machine.Pass) // over the same client
}

func TestNATS(t *testing.T) {
	port := freePort(t)
	cmd := func() *exec.Cmd { return exec.Command(program(t, "nats-server"), "-a", "127.0.0.1", "-p", port) }
	p := launch(t, cmd())
	conn, err := nats.Connect("nats://127.0.0.1:"+port, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	connected, open := check.Connected(conn), check.Open(conn)
	become(t, connected, machine.Pass)
	p.kill()
	become(t, connected, machine.Fail)
	if err := once(t, open); err != nil {
		t.Errorf("it reconnects, so it is not closed: %v", err)
	}
	launch(t, cmd())
	become(t, connected, machine.Pass)
	conn.Close()
	become(t, open, machine.Fail)
}

// postgres starts a database of its own, and returns where it is.
func postgres(t *testing.T) (dsn string, p *process) {
	t.Helper()
	initdb, server, port := program(t, "initdb"), program(t, "postgres"), freePort(t)
	dir, err := os.MkdirTemp("", "meshhealth-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as := unprivileged(t, dir)
	data := filepath.Join(dir, "data")
	init := exec.Command(initdb, "-D", data, "-U", "test", "-A", "trust", "-N")
	init.Dir, init.SysProcAttr = dir, as
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	cmd := exec.Command(server, "-D", data, "-p", port, "-h", "127.0.0.1", "-k", dir, "-F")
	cmd.Dir, cmd.SysProcAttr = dir, as
	return "postgres://test@127.0.0.1:" + port + "/postgres?sslmode=disable", launch(t, cmd)
}

// unprivileged gives a folder to the user PostgreSQL is to run as: it refuses
// to run as root.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skipf("DID NOT RUN: PostgreSQL does not run as root, and there is no user postgres")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func TestPostgreSQL(t *testing.T) {
	dsn, p := postgres(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(2)
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	run, query, ping := check.SQL(db), check.Query(db, "SELECT 1"), check.Ping(pool)
	become(t, run, machine.Pass)
	become(t, query, machine.Pass)
	become(t, ping, machine.Pass)
	wantWords(t, once(t, check.Query(db, "SELEKT")), "syntax error")

	// All connections are in use: degraded, not failed.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var held []*sql.Conn
	for range 2 {
		c, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	become(t, run, machine.Warn)
	for _, check := range []check.Func{run, query} {
		wantWords(t, once(t, check), "pool exhausted: 2 of 2 connections are in use")
	}
	for _, c := range held {
		_ = c.Close()
	}
	become(t, run, machine.Pass)

	p.kill()
	become(t, run, machine.Fail)
	become(t, query, machine.Fail)
	become(t, ping, machine.Fail)
}
