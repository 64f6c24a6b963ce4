package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
	"github.com/meshhealth/meshhealth/server"
)

func TestNewSaysEverythingThatIsWrong(t *testing.T) {
	_, err := server.New(server.Config{
		Service: "no spaces", Propagation: -1, OnDrain: []func(context.Context) error{nil},
		MaxWatchers: -1, MaxWatchersPerPeer: -1, Build: "a\nb",
	})
	wantFields(t, err, "Service", "Propagation", "OnDrain[0]", "MaxWatchers", "MaxWatchersPerPeer", "Build")
	if _, err := server.New(server.Config{}); err == nil {
		t.Error("a config without a service was taken")
	}
}

func TestAddSaysEverythingThatIsWrong(t *testing.T) {
	s := newServer(t, server.Config{})
	wantFields(t, s.Add(server.Check{
		Name: "a\x00b", Every: -1, Timeout: -1, FailAfter: -1, RecoverAfter: -1, MinHold: -1, OnFail: 7,
		Kind: 7, Tags: []string{"ok", "not ok"}, InitialDelay: -1,
	}), "Name", "Run", "Every", "Timeout", "Kind", "Tags[1]", "InitialDelay", "FailAfter", "RecoverAfter", "DegradeAfter", "MinHold", "OnFail")
	wantFields(t, s.Add(server.Check{Run: pass}), "Name")
	wantFields(t, s.Add(server.Check{Name: strings.Repeat("a", wire.MaxName+1), Run: pass}), "Name")
	wantFields(t, s.Add(server.Check{Name: "a", Run: pass, Every: server.MinEvery - 1}), "Every")
	wantFields(t, s.Add(server.Check{Name: "a", Run: pass, DegradeAfter: 3, FailAfter: 2}), "DegradeAfter")
}

func TestAddTakesSoManyChecks(t *testing.T) {
	s := newServer(t, server.Config{})
	many := make([]server.Check, server.MaxChecks)
	for i := range many {
		many[i] = server.Check{Name: fmt.Sprint(i), Run: pass}
	}
	add(t, s, many...)
	if err := s.Add(server.Check{Name: "one more", Run: pass}); !errors.Is(err, server.ErrTooManyChecks) {
		t.Errorf("too many: %v", err)
	}
	if s.Remove("0") != 1 || s.Remove("0") != 0 {
		t.Error("Remove does not say what it did")
	}
	if err := s.Add(server.Check{Name: "1", Run: pass}); !errors.Is(err, server.ErrCheckExists) {
		t.Errorf("a name twice: %v", err)
	}
	add(t, s, server.Check{Name: "one more", Run: pass})
}

// TestAddIsAllOrNone: if one check is invalid, Add adds none and names each invalid
// check.
func TestAddIsAllOrNone(t *testing.T) {
	s := newServer(t, server.Config{})
	add(t, s, server.Check{Name: "there", Run: pass})
	err := s.Add(server.Check{Name: "good", Run: pass}, server.Check{Name: "late", Run: pass, Every: time.Second, Timeout: time.Second}, server.Check{Name: "x"})
	wantFields(t, err, "Timeout", "Run")
	err = s.Add(server.Check{Name: "good", Run: pass}, server.Check{Name: "good", Run: pass}, server.Check{Name: "there", Run: pass})
	if n := strings.Count(err.Error(), server.ErrCheckExists.Error()); n != 2 || !errors.Is(err, server.ErrCheckExists) {
		t.Errorf("%v, want two that exist", err)
	}
	if n := s.Remove("good", "late", "x", "there"); n != 1 {
		t.Errorf("%d checks were there, want one", n)
	}
}

// TestAddSaysAllAtOnce: one error joins the errors of single checks and those between
// checks.
func TestAddSaysAllAtOnce(t *testing.T) {
	s := newServer(t, server.Config{})
	err := s.Add(
		server.Check{Name: "a", Run: pass, Every: time.Second, Timeout: time.Second},
		server.Check{Name: "b", Run: pass, InitialDelay: -1, MinHold: -1, BreakAfter: -1},
		server.Check{Run: pass},
		server.Check{Name: "c", Run: pass, DependsOn: []string{"nobody"}},
		server.Check{Name: "d", Run: pass},
		server.Check{Name: "d", Run: pass, DependsOn: []string{"e"}},
		server.Check{Name: "e", DependsOn: []string{"d"}},
	)
	want := `server.Check "a": Timeout: is 1s; allowed: more than 0 and less than Every (1s), 0 for the default
server.Check "b": BreakAfter: is -1; allowed: 1 or more, 0 for never
InitialDelay: is -1ns; allowed: 0 or more
MinHold: is -1ns; allowed: not negative
server.Check "": Name: is empty
server.Check "e": Run: is nil
server.Check "d": there is a check of this name already
server.Check "c": DependsOn[0]: there is no check "nobody"
server.Check "d": DependsOn: is a cycle: d depends on e depends on d`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if n := len(s.Checks()); n != 0 {
		t.Errorf("%d were taken", n)
	}
}

func TestZeroCheckHasDefaults(t *testing.T) {
	s := newServer(t, server.Config{})
	add(t, s, server.Check{Name: "a", Run: pass, StaleAfter: -1, Every: time.Hour})
	wantStatusNow(t, s, health.Starting)
}

func pass(context.Context) error { return nil }

func wantStatusNow(t *testing.T, s *server.Server, want health.Status) {
	t.Helper()
	if got := s.Status(); got != want {
		t.Errorf("status %v, want %v", got, want)
	}
}

// wantFields checks that err names each field once and no other field.
func wantFields(t *testing.T, err error, fields ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one about %q", fields)
	}
	for _, f := range fields {
		if n := strings.Count(err.Error(), f+": "); n != 1 {
			t.Errorf("%s is named %d times in %q", f, n, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != len(fields) {
		t.Errorf("%d faults, want %d: %v", n, len(fields), err)
	}
}
