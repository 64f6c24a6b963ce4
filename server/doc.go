// Package server runs a service's local checks, judges them, and serves the
// result as grpc.health.v1 and meshhealth.v1. It needs no coordinator.
//
//	s, err := server.New(server.Config{Service: "payments"})
//	err = s.Add(server.Check{Name: "db", Run: db.PingContext})
//	s.Register(grpcServer)
//	go s.Run(ctx)
//	...
//	s.Drain(ctx)
//	grpcServer.GracefulStop()
//
// The status is the worst of what the checks (check.go) and SetStatus say. More
// names (Config.Services) may be judged by some of the checks each (board.go).
// What they say is counted, never rescanned: a result costs the same among ten
// checks and among ten thousand. A new server is STARTING, which stock clients
// read as NOT_SERVING, until every check that may hold it back has run once.
// Reads never run a check.
//
// One goroutine schedules everything (schedule.go, run.go): an idle check is a
// place in a heap. A check has a goroutine only while it runs. Go cannot end a
// goroutine from outside: a check that ignores its context fails when its
// time-out is over, but its goroutine is left to end by itself. Until then no
// second run starts beside it, every run it misses counts as another time-out,
// and it takes no room under MaxConcurrent.
//
// A server whose only source is SetStatus works without Run, but without Run
// there are no heartbeats: a coordinator takes their absence for a broken path.
//
// # Concurrency
//
// Every method may be called from anywhere at any time, from checks and
// OnDrain functions too; only Run is for once. No lock is held while a check,
// an OnDrain function, Details or the logger runs. Run returns when its checks
// have returned; it gives those that ignore their context what is left of
// their time-out, then leaves them behind.
package server
