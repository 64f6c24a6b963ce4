package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// Stopper is a grpc.Server.
type Stopper interface {
	GracefulStop()
	Stop()
}

// ErrStuck: checks have not returned, though their time is long over. Their
// goroutines are left behind.
var ErrStuck = errors.New("has not returned")

// GracefulStop drains (see Drain) and then stops g, both within the timeout.
// When that is over before the service's own calls have ended, g is stopped at
// once, which cuts them off, and the error says so.
func (s *Server) GracefulStop(g Stopper, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := s.Drain(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.GracefulStop()
	}()
	select {
	case <-stopped:
		return err
	case <-ctx.Done():
	}
	g.Stop()
	<-stopped
	return errors.Join(err, fmt.Errorf("calls were cut off after %v", timeout))
}

// stuck names the checks whose run has not returned in time; nil if there is
// none.
func (s *Server) stuck() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, t := range s.tasks {
		if t.phase == stuck {
			names = append(names, t.name)
		}
	}
	return stuckError(names)
}

func stuckError(names []string) error {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("check %s: %w", wire.Clean(strings.Join(names, ", ")), ErrStuck)
}
