// Package dashboards checks the dashboards, rules and alerts in deploy. The tests parse each
// expression with the parser of Prometheus, and compare its metrics and labels with those of a real
// coordinator and a real server. Grafana itself does not run.
//
// Other tests run the real programs that Debian has: promtool, Prometheus and Alertmanager. Prometheus
// scrapes a `meshhealth demo` and evaluates every expression. Alertmanager decides which alerts
// notify. A test whose program is missing is skipped and names it. It fails if CI is set.
//
// # Concurrency
//
// The package contains only tests.
package dashboards
