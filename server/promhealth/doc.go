// Package promhealth exports the checks of a server as Prometheus metrics:
//
//	prometheus.MustRegister(promhealth.NewCollector(srv))
//
// Each series has the label service with the server's Config.Service. So each server of a
// process has a collector of its own. The other labels are check, result, name (an entry
// of Config.Service and Config.Services) and le. A registerer that wraps a collector must
// not add one of these labels. Two servers of the same name need such a registerer, which
// adds another label, such as "server".
//
// A scrape runs no check and waits for none. It reads the present state. The names of the
// metrics are common among health libraries, so that existing dashboards work.
//
// # Concurrency
//
// Several goroutines may scrape a Collector at the same time.
package promhealth
