package xds

import (
	"context"
	"errors"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/routing"
)

// Run applies the changes of Config.Feed until ctx ends. Then it ends all streams with UNAVAILABLE, and
// waits for their goroutines. Clients keep what they have. The error is nil if ctx was cancelled. Run
// must be called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.receivers.Wait()
	defer s.end()
	settled := make(chan struct{})
	defer func() { <-settled }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer close(settled)
		s.settle(ctx)
	}()
	reader := s.cfg.Feed.NewReader(feed.Interest{})
	for {
		step, err := reader.Next(ctx)
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		s.applyStep(&step)
	}
}

// settle waits, and then serves the clients that come from an earlier run of the coordinator. After
// another time it tells them which services do not exist any more.
func (s *Server) settle(ctx context.Context) {
	if !sleep(ctx, s.cfg.SettleAfter) {
		return
	}
	s.awaken(func() { s.catalog.settled = true })
	if sleep(ctx, s.cfg.CompleteAfter-s.cfg.SettleAfter) {
		s.awaken(s.completeCatalog)
	}
}

// sleep waits for d. It returns false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// completeCatalog marks the resources that were held until now. The caller holds s.mu.
func (s *Server) completeCatalog() {
	for _, st := range s.streams {
		for _, sub := range st.session.subscriptions {
			for r := range sub.entries {
				if sub.holds(s.catalog, r) {
					sub.mark(r)
				}
			}
		}
	}
	s.catalog.complete = true
}

// applyStep applies the entries that the feed has returned in one step.
func (s *Server) applyStep(step *feed.Step) {
	var changes []Change
	seen := map[health.ID]bool{}
	for e := range step.Entries {
		if e.Spec == nil {
			continue // an aggregate
		}
		changes = append(changes, changeOf(e))
		if step.Snapshot {
			seen[e.ID] = true
		}
	}
	if step.Snapshot {
		changes = append(changes, s.unseen(seen)...)
	}
	if len(changes) > 0 {
		s.Apply(changes)
	}
	s.noteApplied(step.Revision)
}

func changeOf(e *feed.Entry) Change {
	return Change{
		Service: e.ID.Service, Gone: e.Removed,
		Endpoint: Endpoint{Endpoint: routing.EndpointOf(&e.State), TLSNames: e.Spec.Traffic.TLSNames},
	}
}

// unseen returns the removal of each instance that is not in a snapshot.
func (s *Server) unseen(seen map[health.ID]bool) []Change {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	var gone []Change
	for service, src := range s.sources {
		for i := range src.endpoints {
			if instance := src.endpoints[i].Instance; !seen[health.ID{Service: service, Instance: instance}] {
				c := Change{Service: service, Gone: true}
				c.Endpoint.Instance = instance
				gone = append(gone, c)
			}
		}
	}
	return gone
}

// Loaded says that Config.Feed has all registrations that the coordinator knows at its start. The
// server sends nothing before it has applied them.
func (s *Server) Loaded() {
	revision := s.cfg.Feed.Revision()
	s.awaken(func() { s.loaded, s.loadedAt = true, revision })
}

func (s *Server) noteApplied(revision uint64) {
	s.awaken(func() { s.applied, s.read = revision, true })
}

// awaken changes what decides whether streams are served, and wakes all streams if more are served now.
func (s *Server) awaken(change func()) {
	s.mu.Lock()
	warm, settled, complete := s.warm, s.catalog.settled, s.catalog.complete
	change()
	s.warm = s.loaded && s.read && s.applied >= s.loadedAt
	var all []*stream
	if s.warm != warm || s.catalog.settled != settled || s.catalog.complete != complete {
		for _, st := range s.streams {
			all = append(all, st)
		}
	}
	s.mu.Unlock()
	for _, st := range all {
		st.wake()
	}
}

// end ends all streams, and refuses new ones.
func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ended)
}
