// Package metrics turns the coordinator's feed into Prometheus metrics.
//
// [Metrics] is a reader of the feed like any other. It keeps a small model (names,
// statuses, counts) and creates series from it at each scrape. An unchanged status costs
// nothing between two scrapes.
//
// The number of series is bounded. States and causes are closed sets. Services and
// instances have series up to a limit, in the order of their names. A metric counts the
// names without series. The totals include all names.
//
// [ServerMetrics] and [ClientMetrics] are the grpc_server_ and grpc_client_ metrics under
// the names that existing dashboards use. The duration is measured for unary calls only: a
// stream (Watch, Report) lasts as long as its client wants.
//
// # Concurrency
//
// Scrapes may run concurrently, also before and after Run. Run is called once. Config.Stats
// must be safe for concurrent use. The interceptors are safe for concurrent use.
package metrics
