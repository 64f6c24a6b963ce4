package server

import "github.com/meshhealth/meshhealth/health"

// counts are checks by what they mean. The server's lock guards them.
type counts [health.NumStatuses]int

// worst returns the worst there is, if there is any.
func (c *counts) worst() (worst health.Status, found bool) {
	for i, n := range c {
		if s := health.Status(i); n > 0 && (!found || s.WorseThan(worst)) {
			worst, found = s, true
		}
	}
	return worst, found
}

// passes reports whether nothing is bad or still to come.
func (c *counts) passes() bool {
	return c[health.NotServing] == 0 && c[health.Starting] == 0
}

// status is the worst there is; SERVING where there is nothing.
func (c *counts) status() health.Status {
	if worst, found := c.worst(); found {
		return worst
	}
	return health.Serving
}

// countKind enters t anew among its kind. What is to be ignored is not counted.
func (s *Server) countKind(t *task, now health.Status) {
	k := &s.kinds[t.rules.kind]
	if t.ofKind {
		k[t.kindAs]--
	}
	t.ofKind, t.kindAs = !t.removed && t.rules.onFail != Ignore, now
	if t.ofKind {
		k[now]++
	}
	// Having started cannot be undone.
	s.hasStarted = s.hasStarted || s.schedule.started && s.kinds[Startup].passes()
}

// live is the status of /livez. A check that has not run yet, or a service that
// drains, is no reason to restart a process.
func (s *Server) live() health.Status {
	k := s.kinds[Liveness]
	k[health.Starting] = 0
	return k.status()
}

// startedUp is the status of /startupz.
func (s *Server) startedUp() health.Status {
	if s.hasStarted || s.schedule.started && s.kinds[Startup].passes() {
		s.hasStarted = true
		return health.Serving
	}
	if worst := s.kinds[Startup].status(); worst == health.NotServing {
		return worst
	}
	return health.Starting
}
