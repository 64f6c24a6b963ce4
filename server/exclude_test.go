package server_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// TestExcludeCountsWhatWasSet: a status set by hand counts for a page with exclude too.
func TestExcludeCountsWhatWasSet(t *testing.T) {
	for what, set := range map[string]func(*server.Server){
		"SetServingStatus of the service": func(s *server.Server) { s.SetServingStatus(service, down) },
		"SetServingStatus of the server":  func(s *server.Server) { s.SetServingStatus("", down) },
		"SetStatus":                       func(s *server.Server) { _ = s.SetStatus(health.NotServing, "") },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, server.Config{})
			add(t, s, server.Check{Name: "db", Run: pass}, server.Check{Name: "mail", Run: pass})
			start(t, s)
			wantPage(t, s, "/readyz?exclude=db", 200, "SERVING\n")
			set(s)
			wantPage(t, s, "/readyz", 503, "NOT_SERVING\n")
			if w := get(s, "/readyz?exclude=db"); w.Code != 503 || w.Body.String() != "NOT_SERVING\n" {
				t.Errorf("%s: %d %q, want 503", what, w.Code, w.Body)
			}
		})
	}
}

// TestExcludeSaysWhatThePageWouldSay: each endpoint answers as if the excluded check did
// not exist.
func TestExcludeSaysWhatThePageWouldSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: (&probe{err: errDown}).run},
			server.Check{Name: "mail", Run: (&probe{err: errDown}).run, OnFail: server.Degrade},
			server.Check{Name: "loop", Run: (&probe{err: errDown}).run, Kind: server.Liveness},
			server.Check{Name: "migrate", Run: (&probe{err: errDown}).run, Kind: server.Startup})
		start(t, s)
		time.Sleep(time.Second)
		for path, want := range map[string]int{
			"/readyz?exclude=db": 503, "/readyz?exclude=db&exclude=migrate": 200, "/readyz?exclude=db&exclude=migrate&exclude=mail": 200,
			"/readyz?exclude=db&exclude=db&exclude=db": 503,
			"/livez": 503, "/livez?exclude=loop": 200, "/livez?exclude=db": 503,
			"/startupz": 503, "/startupz?exclude=migrate": 200, "/startupz?exclude=db": 503,
		} {
			if w := get(s, path); w.Code != want {
				t.Errorf("%s: %d %q, want %d", path, w.Code, w.Body, want)
			}
		}
		wantPage(t, s, "/startupz", 503, "NOT_SERVING\n") // a request with exclude has not marked the service as started
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantPage(t, s, "/readyz?exclude=db", 503, "DRAINING\n")
		wantPage(t, s, "/livez?exclude=loop", 200, "SERVING\n")
	})
}

// TestExcludeIsBounded: a request may not have more than 128 exclude parameters.
func TestExcludeIsBounded(t *testing.T) {
	s := newServer(t, server.Config{})
	names := make([]string, 129)
	for i := range names {
		names[i] = fmt.Sprintf("exclude=c%d", i)
	}
	if w := get(s, "/readyz?"+strings.Join(names, "&")); w.Code != 400 || w.Body.String() != "exclude: is given 129 times; allowed: at most 128\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := get(s, "/readyz?"+strings.Join(names[1:], "&")); w.Code != 503 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

// TestExcludeCostsLittle: the cost of a request does not grow with the number of checks.
func TestExcludeCostsLittle(t *testing.T) {
	cost := map[int]float64{}
	for _, n := range []int{100, 20_000} {
		s := newServer(t, server.Config{})
		checks := make([]server.Check, n)
		for i := range checks {
			checks[i] = server.Check{Name: fmt.Sprintf("c%d", i), Run: pass}
		}
		add(t, s, checks...)
		get(s, "/readyz?exclude=c1")
		for range 10 { // the fastest batch has the least noise
			began := time.Now()
			for range 100 {
				get(s, "/readyz?exclude=c1&exclude=c2")
			}
			if took := float64(time.Since(began)) / 100; cost[n] == 0 || took < cost[n] {
				cost[n] = took
			}
		}
	}
	if cost[20_000] > 20*cost[100] {
		t.Errorf("%.0f µs among 20,000 checks, %.0f µs among 100", cost[20_000]/1000, cost[100]/1000)
	}
}
