package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPathsThatAreNone: the root lists the paths. /healthz and all other paths are 404
// and list them too.
func TestPathsThatAreNone(t *testing.T) {
	s, err := New(Config{Service: "pay"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/", 200},
		{"HEAD", "/", 200},
		{"POST", "/", 405},
		{"GET", "/healthz", 404},
		{"GET", "/healthz?verbose", 404},
		{"GET", "/health", 404},
		{"GET", "/healthz/db", 404},
		{"POST", "/healthz", 404},
		{"GET", "/livez/", 200},
	} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(c.method, c.path, http.NoBody))
		if w.Code != c.code || c.path != "/livez/" && w.Code != 405 && !strings.Contains(w.Body.String(), "/livez     503: restart the process\n/readyz    200: send traffic\n") {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, w.Code, w.Body, c.code)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %v", c.method, c.path, w.Header())
		}
	}
}
