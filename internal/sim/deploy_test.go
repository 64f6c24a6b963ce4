package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// fleet returns a script with equal services. The first instances of each service, in the
// number begin, start at the begin of the script.
func fleet(services, instances, begin int, source health.Source) *Script {
	s := &Script{Setup: Setup{Seed: 1, LogBytes: 1 << 20}}
	s.Policy.FlapMax = time.Minute
	for n := range services {
		v := Service{Name: fmt.Sprint("s", n), Instances: instances, Zones: 3, Source: source}
		s.Services = append(s.Services, v)
		for i := range begin {
			s.Steps = append(s.Steps, Step{Op: OpAdd, Who: fmt.Sprint(v.Name, "/", i)})
		}
	}
	return s
}

// expect adds steps to the script: from the time at on, only these statuses are right for every
// service.
func (s *Script) expect(at time.Duration, statuses ...health.Status) {
	for i := range s.Services {
		s.Steps = append(s.Steps, Step{At: at, Op: OpExpect, Who: s.Services[i].Name, N: Bits(statuses...)})
	}
}

func (s *Script) step(at time.Duration, op Op, instance int) {
	for i := range s.Services {
		s.Steps = append(s.Steps, Step{At: at, Op: op, Who: fmt.Sprint(s.Services[i].Name, "/", instance), For: time.Second})
	}
}

func sources(t *testing.T, test func(*testing.T, health.Source)) {
	for _, source := range []health.Source{health.SourceMeshhealth, health.SourceWatch, health.SourcePoll} {
		t.Run(source.String(), func(t *testing.T) {
			t.Parallel()
			test(t, source)
		})
	}
}

func wantNoFault(t *testing.T, s *Script) {
	t.Helper()
	if r := Play(s); r.Fault != nil {
		t.Error(r.Fault)
	}
}

// whileLeaving returns the statuses that a service may have while some instances leave. For
// stock servers it adds DEGRADED, since they report NOT_SERVING in place of DRAINING.
func whileLeaving(source health.Source, statuses ...health.Status) []health.Status {
	if stock(source) {
		return append(statuses, health.Degraded)
	}
	return statuses
}

// TestRollingDeploy: a service serves all the time while its instances are replaced
// one after the other. Each service draws its own random delays, so that more services
// are more repetitions.
func TestRollingDeploy(t *testing.T) {
	t.Parallel()
	sources(t, func(t *testing.T, source health.Source) {
		s := fleet(deployed, 30, 30, source)
		s.expect(20*time.Second, whileLeaving(source, health.Serving)...)
		at := 20 * time.Second
		for i := range 30 {
			s.step(at, OpStop, i)
			s.step(at+1500*time.Millisecond, OpAdd, i)
			at += 4 * time.Second
		}
		wantNoFault(t, s)
	})
}

// TestScaleUp: instances that start do not change the status of their service.
func TestScaleUp(t *testing.T) {
	t.Parallel()
	sources(t, func(t *testing.T, source health.Source) {
		s := fleet(10, 30, 3, source)
		s.expect(20*time.Second, health.Serving)
		for i := 3; i < 30; i++ {
			s.step(30*time.Second, OpAdd, i)
		}
		s.step(2*time.Minute, OpSay, 31) // a step without an effect, so that the script lasts for 2 min
		wantNoFault(t, s)
	})
}

// TestScaleToZero: a service whose instances are all stopped has not failed.
func TestScaleToZero(t *testing.T) {
	t.Parallel()
	sources(t, func(t *testing.T, source health.Source) {
		s := fleet(10, 10, 10, source)
		allowed := whileLeaving(source, health.Serving, health.Draining)
		if stock(source) {
			allowed = append(allowed, health.NotServing)
		}
		s.expect(20*time.Second, allowed...)
		for i := range 10 {
			s.step(30*time.Second+time.Duration(i)*time.Second, OpStop, i)
		}
		s.step(2*time.Minute, OpSay, 11)
		wantNoFault(t, s)
	})
}
