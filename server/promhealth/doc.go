// Package promhealth exports the checks of a server as Prometheus metrics:
//
//	prometheus.MustRegister(promhealth.NewCollector(srv))
//
// Each series has the label "service" with the server's Config.Service. So each server of a
// process has a collector of its own. The other labels are check, result, name and le. The label
// name is an entry of Config.Service and Config.Services. Two servers of the same name need a
// registerer that adds another label, such as "server". It must not be one of the labels above.
//
// A scrape reads the present state. It runs no check and waits for none. The names of the
// metrics are common among health libraries, so that existing dashboards work.
//
// # Concurrency
//
// Several goroutines may scrape a Collector at the same time.
package promhealth
