// Package server runs the checks of a service, judges their outcomes, and serves the
// status as grpc.health.v1 and meshhealth.v1. It needs no coordinator.
//
//	s, err := server.New(server.Config{Service: "payments"})
//	err = s.Add(server.Check{Name: "db", Run: db.PingContext})
//	s.Register(grpcServer)
//	go s.Run(ctx) // Run logs the error that it returns
//	...
//	s.Stop(grpcServer, 10*time.Second)
//
// Config.Service is the name that clients ask for. Use the full name of the gRPC service,
// such as "acme.payments.v1.Payments". A gRPC client with health checking asks for the
// name in its service configuration, and a coordinator asks for the registered name. The
// empty name has the status of Config.Service. kubelet, Envoy and grpc-health-probe ask
// for the empty name by default. Config.Services adds names whose status only some checks
// decide.
//
// A check returns nil, an error, or a warning from health.Warnf or health.Warning. The
// first failure makes a check DEGRADED, and the third failure in a row makes it
// NOT_SERVING. The first outcome of a check decides at once. The status of a service is
// the worst of its checks and of what SetStatus has set. A new server is STARTING, which
// stock clients read as NOT_SERVING, until each check that counts has run once. A request
// never runs a check.
//
// Go cannot end a goroutine from outside. If a check ignores its context, its run fails at
// the timeout, and its goroutine stays until the check returns. While the goroutine stays,
// no other run of the check starts, and each missed run counts as another timeout. The
// overdue run does not count for MaxConcurrent.
//
// A server that only uses SetStatus works without Run. But without Run it sends no
// heartbeats. A coordinator that misses heartbeats concludes that the connection is broken.
//
// # Concurrency
//
// All methods may be called from any goroutine at any time, also from checks and OnDrain
// functions. Run may be called once. The server holds no lock while it calls a check, an
// OnDrain function, ShowReasons or the logger. When its context ends, Run waits for each
// check until the check returns or its time ends. Run does not wait longer for a check that
// ignores its context: the goroutine of this check stays.
package server
