// Package promhealth exports the checks of a server as Prometheus metrics:
//
//	prometheus.MustRegister(promhealth.NewCollector(srv))
//
// Each series has the label "service", whose value is Config.Service of the server. So one
// registry accepts the collectors of several servers. The other labels are "check", "result",
// "name" and "le". The value of "name" is Config.Service or a name in Config.Services. If two
// servers have the same Config.Service, register them with a registerer that adds another
// label, such as "server". It must not be one of the labels above.
//
// A scrape reads the present state. It runs no check and waits for none. The names of the
// metrics are common among health libraries, so that existing dashboards work.
//
// # Concurrency
//
// Several goroutines may scrape a Collector at the same time.
package promhealth
