package server

import "github.com/meshhealth/meshhealth/health"

// kindCount counts the checks of one kind by what they mean, whether they hold
// the service back or not. The server's lock guards it.
type kindCount [health.NumStatuses]int

// passes reports whether nothing of the kind is bad or still to come.
func (k *kindCount) passes() bool {
	return k[health.NotServing] == 0 && k[health.Starting] == 0
}

// status is the worst there is; SERVING where there is nothing.
func (k *kindCount) status() health.Status {
	worst := health.Serving
	for s, n := range k {
		if n > 0 && health.Status(s).WorseThan(worst) {
			worst = health.Status(s)
		}
	}
	return worst
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
