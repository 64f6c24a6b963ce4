package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// TestHistory: the server remembers the last runs of a check, the oldest first.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{}
		var n atomic.Int64
		s := newServer(t, server.Config{History: 3})
		add(t, s, server.Check{Name: "db", Run: func(ctx context.Context) error {
			if n := n.Add(1); n > 1 {
				p.set(fmt.Errorf("down %d", n))
			}
			return p.run(ctx)
		}})
		p.takes(honouring(20 * time.Millisecond))
		if got := s.History("db"); got != nil {
			t.Errorf("before any run: %v", got)
		}
		start(t, s)
		time.Sleep(21 * time.Millisecond) // shorter than the time until a second run can end
		got := s.History("db")
		if len(got) != 1 || got[0].Result != server.Passed || got[0].Took != 20*time.Millisecond || got[0].Reason != "" {
			t.Errorf("after one run: %+v", got)
		}
		time.Sleep(time.Hour)
		got = s.History("db")
		var reasons []string
		for _, r := range got {
			reasons = append(reasons, r.Reason)
		}
		last := n.Load()
		if got[2].Reason != fmt.Sprint("down ", last) {
			last-- // a run is in progress
		}
		want := []string{fmt.Sprint("down ", last-2), fmt.Sprint("down ", last-1), fmt.Sprint("down ", last)}
		if !slices.Equal(reasons, want) {
			t.Errorf("%q, want %q", reasons, want)
		}
		if !slices.IsSortedFunc(got, func(a, b server.PastRun) int { return a.At.Compare(b.At) }) {
			t.Errorf("not in order: %+v", got)
		}
		if s.History("nobody") != nil {
			t.Error("a check that is not there has runs")
		}
	})
}

func TestNoHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{History: -1})
		add(t, s, server.Check{Name: "db", Run: pass})
		start(t, s)
		time.Sleep(time.Minute)
		if got := s.History("db"); got != nil {
			t.Errorf("%v", got)
		}
	})
	_, err := server.New(server.Config{Service: service, History: 1001})
	wantFields(t, err, "History")
}

// TestHistoryIsForTheAuthorised: over HTTP only those who may see reasons see past runs.
func TestHistoryIsForTheAuthorised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		allowed := false
		s := newServer(t, server.Config{ShowReasons: func(context.Context) bool { return allowed }})
		add(t, s, server.Check{Name: "db", Run: func(context.Context) error {
			return health.Hint(health.With(errors.Join(errDown, health.Warnf("slow")), "host", "db-1"), "is the VPN up?")
		}, Every: 1000 * time.Hour})
		start(t, s)
		time.Sleep(time.Second)
		const told = "down; slow (host=db-1; hint: is the VPN up?)"
		for _, accept := range []string{"text/plain", "application/json"} {
			allowed = false
			if body := get(s, "/readyz/db", "Accept", accept).Body.String(); strings.Contains(body, "down") || strings.Contains(body, "runs") {
				t.Errorf("told to everybody:\n%s", body)
			}
			allowed = true
			if body := get(s, "/readyz/db", "Accept", accept).Body.String(); strings.Count(body, told) != 2 {
				t.Errorf("want status and run with %q:\n%s", told, body)
			}
		}
	})
}
