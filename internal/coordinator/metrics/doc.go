// Package metrics turns the coordinator's feed into Prometheus metrics.
//
// [Metrics] creates series from the current entries of the feed at each scrape. Between two
// scrapes it has no work, except that the registry calls [Metrics.Count] after each
// publication. So no transition is missed, and no goroutine waits for changes.
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
// This package starts no goroutine. All methods may be called concurrently. Config.Stats must
// be safe for concurrent use. The interceptors are safe for concurrent use.
package metrics
