package web

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// maxScrapes is the largest number of metrics pages that are made at the same time.
	maxScrapes = 8
	// maxScrapesPerPeer is the largest number of metrics pages that one peer may request at the
	// same time.
	maxScrapesPerPeer = 4
)

// metricsPage serves /metrics. It makes each page completely in memory before it writes the page to
// the client. So a client that reads slowly does not delay others.
type metricsPage struct {
	next       http.Handler
	ipv6Prefix int           // length of the IPv6 prefix that identifies a peer, in bits; 0 means wire.PeerPrefix
	making     chan struct{} // semaphore with one element for each page that is being made

	mu      sync.Mutex
	reading map[string]int // number of pages that are being made for a peer or written to it, by peer
}

// newMetricsPage returns a handler that serves the metrics of a gatherer.
func newMetricsPage(metrics prometheus.Gatherer, ipv6Prefix int) *metricsPage {
	return limitScrapes(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}), ipv6Prefix)
}

func limitScrapes(next http.Handler, ipv6Prefix int) *metricsPage {
	return &metricsPage{next: next, ipv6Prefix: ipv6Prefix, making: make(chan struct{}, maxScrapes), reading: map[string]int{}}
}

// ServeHTTP implements http.Handler.
func (m *metricsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	peer := wire.Peer(r.RemoteAddr, m.ipv6Prefix)
	if !m.addReader(peer) {
		w.Header().Set("Retry-After", "10")
		http.Error(w, fmt.Sprintf("%d pages of metrics are being read from %s, the most one peer may read at once", maxScrapesPerPeer, peer),
			http.StatusServiceUnavailable)
		return
	}
	defer m.removeReader(peer)
	page := m.make(r)
	if page == nil {
		return
	}
	for key, values := range page.header {
		w.Header()[key] = values
	}
	w.WriteHeader(page.code)
	_, _ = w.Write(page.Bytes())
}

func (m *metricsPage) addReader(peer string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reading[peer] >= maxScrapesPerPeer {
		return false
	}
	m.reading[peer]++
	return true
}

func (m *metricsPage) removeReader(peer string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reading[peer]--; m.reading[peer] == 0 {
		delete(m.reading, peer)
	}
}

// make makes a page in memory. At most maxScrapes pages are made at the same time. It returns nil
// if the request ends while make waits for its turn.
func (m *metricsPage) make(r *http.Request) *bufferedPage {
	select {
	case m.making <- struct{}{}:
	case <-r.Context().Done():
		return nil
	}
	defer func() { <-m.making }()
	page := &bufferedPage{header: http.Header{}, code: http.StatusOK}
	m.next.ServeHTTP(page, r)
	return page
}

// bufferedPage holds a page in memory until it is written to the client.
type bufferedPage struct {
	bytes.Buffer
	header http.Header
	code   int
}

// Header implements http.ResponseWriter.
func (p *bufferedPage) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter.
func (p *bufferedPage) WriteHeader(code int) { p.code = code }
