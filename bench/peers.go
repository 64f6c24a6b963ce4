package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	gosundheit "github.com/AppsFlyer/go-sundheit"
	"github.com/AppsFlyer/go-sundheit/checks"
	sundheithttp "github.com/AppsFlyer/go-sundheit/http"
	alex "github.com/alexliesenfeld/health"
	hellofresh "github.com/hellofresh/health-go/v5"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/server"
)

func untilServing(ctx context.Context, s *server.Server) error {
	for r := s.Feed().NewReader(feed.Interest{}); s.Status() != health.Serving; {
		if _, err := r.Next(ctx); err != nil {
			return err
		}
	}
	return nil
}

var errNotWell = errors.New("trivial checks have failed")

func alexOnce(n int) (time.Duration, error) {
	opts := []alex.CheckerOption{alex.WithDisabledCache()}
	for i := range n {
		opts = append(opts, alex.WithCheck(alex.Check{Name: name("check", i), Check: trivial}))
	}
	c := alex.NewChecker(opts...)
	defer c.Stop()
	began := time.Now()
	if c.Check(context.Background()).Status != alex.StatusUp {
		return 0, errNotWell
	}
	return time.Since(began), nil
}

func alexRunning(n int) (*embedded, error) {
	up := make(chan struct{})
	opts := []alex.CheckerOption{alex.WithStatusListener(func(_ context.Context, s alex.CheckerState) {
		if s.Status == alex.StatusUp {
			close(up)
		}
	})}
	for i := range n {
		opts = append(opts, alex.WithPeriodicCheck(time.Hour, 0, alex.Check{Name: name("check", i), Check: trivial}))
	}
	began := time.Now()
	c := alex.NewChecker(opts...)
	<-up
	return &embedded{handler: alex.NewHandler(c), stop: c.Stop, took: time.Since(began)}, nil
}

func hellofreshOnce(n int) (time.Duration, error) {
	h, err := hellofresh.New()
	if err != nil {
		return 0, err
	}
	for i := range n {
		if err := h.Register(hellofresh.Config{Name: name("check", i), Check: trivial}); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if h.Measure(context.Background()).Status != hellofresh.StatusOK {
		return 0, errNotWell
	}
	return time.Since(began), nil
}

// allDone is a listener of go-sundheit, which calls it after each run of a check. It closes the
// channel done when the field left is 0.
type allDone struct {
	left atomic.Int64 // number of runs that have not completed yet
	once sync.Once
	done chan struct{}
}

func (*allDone) OnCheckRegistered(string, gosundheit.Result) {}
func (*allDone) OnCheckStarted(string)                       {}
func (a *allDone) OnCheckCompleted(string, gosundheit.Result) {
	if a.left.Add(-1) <= 0 {
		a.once.Do(func() { close(a.done) })
	}
}

func sundheitRunning(n int) (*embedded, error) {
	all := &allDone{done: make(chan struct{})}
	all.left.Store(int64(n))
	h := gosundheit.New(gosundheit.WithCheckListeners(all))
	began := time.Now()
	for i := range n {
		check := &checks.CustomCheck{CheckName: name("check", i), CheckFunc: func(context.Context) (any, error) { return nil, nil }}
		if err := h.RegisterCheck(check, gosundheit.ExecutionPeriod(time.Hour), gosundheit.InitialDelay(0)); err != nil {
			return nil, err
		}
	}
	<-all.done
	return &embedded{handler: http.HandlerFunc(sundheithttp.HandleHealthJSON(h)), stop: h.DeregisterAll, took: time.Since(began)}, nil
}
