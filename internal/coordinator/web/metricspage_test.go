package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// deaf is a client that does not read.
type deaf struct {
	http.ResponseWriter
	reads chan struct{}
}

func (d deaf) Write(p []byte) (int, error) {
	<-d.reads
	return len(p), nil
}

// TestSlowScrapes: clients that do not read the metrics do not delay others, and
// one peer may read few pages at a time.
func TestSlowScrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte("meshhealth_revision 1\n"))
		})
		s := limitScrapes(page, 0)
		reads := make(chan struct{})
		from := func(address string, w http.ResponseWriter) {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.RemoteAddr = address
			s.ServeHTTP(w, r)
		}
		for _, address := range []string{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "[2001:db8::1]:1"} {
			for range maxScrapesPerPeer {
				go from(address, deaf{httptest.NewRecorder(), reads})
			}
		}
		synctest.Wait()
		for address, code := range map[string]int{
			"192.0.2.1:2": 503, "[2001:db8::2]:1": 503, "192.0.2.9:1": 200, "[2001:db8:0:1::1]:1": 200,
		} {
			w := httptest.NewRecorder()
			from(address, w)
			if w.Code != code || code == 200 != strings.Contains(w.Body.String(), "meshhealth_revision 1") {
				t.Errorf("%s: %d %s, want %d", address, w.Code, w.Body, code)
			}
		}
		close(reads)
		synctest.Wait()
		w := httptest.NewRecorder()
		if from("192.0.2.1:3", w); w.Code != 200 || w.Header().Get("Content-Type") != "text/plain" {
			t.Errorf("afterwards: %d", w.Code)
		}
	})
}
