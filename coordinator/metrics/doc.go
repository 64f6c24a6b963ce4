// Package metrics turns the coordinator's feed into Prometheus metrics.
//
// [Metrics] is one more reader of the feed: nothing that judges or publishes
// knows of it. It keeps a small model (names, statuses, counts) and makes
// series of it when somebody scrapes, so a status that does not change costs
// nothing between two scrapes.
//
// The number of series is bounded. States and causes are closed sets; services
// and instances have series of their own up to a limit, in the order of their
// names, and a metric says how many are left out. The totals over the mesh
// leave nobody out.
//
// [ServerMetrics] and [ClientMetrics] are the well-known grpc_server_ and
// grpc_client_ metrics, under the names existing dashboards use. The time a
// call took is measured for unary calls only. All streams here (Watch, Report)
// last as long as their caller likes; their lifetimes would say nothing about
// speed, and drown what does.
//
// # Concurrency
//
// Metrics may be scraped from anywhere and any number of times at once, also
// before and after Run; Run is called once. Config.Stats must be safe for
// concurrent use. The interceptors are.
package metrics
