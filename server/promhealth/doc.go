// Package promhealth makes Prometheus metrics of a server's checks:
//
//	prometheus.MustRegister(promhealth.NewCollector(srv))
//
// A scrape runs no check and waits for none: it reads what is known. The names
// are those other health libraries use, so that dashboards can stay.
//
// # Concurrency
//
// A Collector may be scraped from anywhere at any time.
package promhealth
