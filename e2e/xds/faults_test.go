//go:build e2e || soak

package xds

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

const (
	// leaseTime is the TTL of the leases of these tests.
	leaseTime = 6 * time.Second
	// pauseTime is the time for which the coordinator is suspended.
	pauseTime = 10 * time.Second
)

// mesh is backends of four services, and clients of all kinds that follow them.
type mesh struct {
	t        *testing.T
	c        *coordinator
	services map[string][]*backend
	lost     []*backend // the half of the mesh that a test hides from the coordinator
	toMesh   *proxy     // between the coordinator and the registrations of these backends
	ads      []*adsClient
	drivers  []*driver
	load     *load
	rows     [][]string
}

// kept are the services that keep their endpoints. The coordinator can lose sight of no instance of
// "near", of half of the instances of "half", and of all instances of "lost". The backends of another
// service, "turn", change their statuses.
var kept = []string{"near", "half", "lost"}

func newMesh(t *testing.T, policy ...string) *mesh {
	t.Helper()
	m := &mesh{t: t, services: map[string][]*backend{}}
	m.c = startCoordinator(t, append(policy, "unreachable_after: 4s", "amnesty: 10s")...)
	m.toMesh = startProxy(t, m.c.at)
	near, far := newClient(t, m.c.at), newClient(t, m.toMesh.address())
	configs := make([]backendConfig, 3)
	for i := range configs {
		configs[i] = backendConfig{feed: true, lease: leaseTime}
	}
	m.services["near"] = startBackends(t, near, "near", 0, configs...)
	m.services["half"] = append(startBackends(t, near, "half", 0, configs...), startBackends(t, far, "half", 3, configs...)...)
	m.services["lost"] = startBackends(t, far, "lost", 0, append(configs, configs[:2]...)...)
	m.services["turn"] = startBackends(t, near, "turn", 0, configs[:2]...)
	m.lost = append(m.services["half"][3:], m.services["lost"]...)
	for _, all := range m.services {
		for _, b := range all {
			b.set(health.Serving)
		}
	}
	m.ads = startADSClients(t, m.c.at, "near", "half", "lost", "turn")
	m.drivers = startDrivers(t, m.c.at, "")
	m.full()
	m.load = startLoad(m.drivers, "xds:///near", "xds:///half", "xds:///lost", "xds:///turn")
	m.rows = [][]string{append([]string{"fault"}, append(names(m.drivers), "least endpoints of near, half, lost")...)}
	return m
}

// full waits until all clients see all endpoints.
func (m *mesh) full() {
	m.t.Helper()
	for service, all := range m.services {
		for _, a := range m.ads {
			until(m.t, fmt.Sprintf("%s sees all of %s", a.name(), service), func() bool { return a.sees(service, len(all)) })
		}
		s := &step{what: "all are SERVING", target: "xds:///" + service, shares: shares(1/float64(len(all)), len(all), 0, 0)}
		each(m.drivers, func(_ int, d *driver) { d.settle(s) })
	}
}

// followed makes a backend NOT_SERVING and SERVING again, and waits until all clients have seen this.
func (m *mesh) followed() {
	m.t.Helper()
	all := m.services["turn"]
	all[0].set(health.NotServing)
	for _, a := range m.ads {
		until(m.t, a.name()+" follows a change", func() bool { return a.sees("turn", 1) })
	}
	s := &step{what: "b0 is NOT_SERVING", target: "xds:///turn", shares: map[string]float64{"b1": 1}}
	each(m.drivers, func(_ int, d *driver) { d.settle(s) })
	all[0].set(health.Serving)
	m.full()
}

// endure makes a fault under load. No call may fail, and each service keeps the number of endpoints
// in least, for all clients. Changes after the fault are followed.
func (m *mesh) endure(what string, least map[string]int, fault func()) {
	m.t.Helper()
	m.load.take("take")
	before := append([]counts(nil), m.load.total...)
	for _, a := range m.ads {
		a.restart()
	}
	began := time.Now()
	fault()
	m.followed()
	m.load.more(faultCalls)
	row := []string{fmt.Sprintf("%s (%v)", what, time.Since(began).Round(100*time.Millisecond))}
	for i, d := range m.drivers {
		got, was := m.load.total[i], before[i]
		row = append(row, fmt.Sprintf("%d calls, %d failed", got.total()-was.total(), got.failed()-was.failed()))
		if got.failed() > was.failed() {
			m.t.Errorf("%s: %s: %d calls failed: %v", what, d.name, got.failed()-was.failed(), got.Errors)
		}
	}
	m.rows = append(m.rows, append(row, m.leastEndpoints(what, least)))
}

func (m *mesh) leastEndpoints(what string, least map[string]int) string {
	var parts []string
	for _, a := range m.ads {
		var seen []string
		for _, service := range kept {
			n := a.leastOf(service)
			seen = append(seen, fmt.Sprint(n))
			if n < least[service] {
				m.t.Errorf("%s: %s: %s had only %d endpoints, want %d", what, a.name(), service, n, least[service])
			}
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", strings.Join(seen, ", "), a.name()))
	}
	return strings.Join(parts, "; ")
}

func (m *mesh) end() {
	m.load.stop()
	m.t.Logf("\n%s", table(m.rows))
}

// hide makes half of the mesh invisible for the coordinator. Clients still reach it.
func (m *mesh) hide(hidden bool) {
	m.toMesh.freeze(hidden)
	for _, b := range m.lost {
		b.proxy.freeze(hidden)
	}
}

// causeOf returns why a backend has its status, such as CAUSE_GUARDED.
func (m *mesh) causeOf(b *backend) pb.Cause {
	got, err := pb.NewHealthServiceClient(m.c.conn).Check(m.t.Context(), &pb.CheckRequest{Service: b.id.String()}, grpc.WaitForReady(true))
	if err != nil {
		m.t.Fatal(err)
	}
	return got.GetHealth().GetCause()
}

// missed waits until the coordinator has noticed that it lost sight of half of the mesh.
func (m *mesh) missed(causes ...pb.Cause) {
	for _, b := range m.lost {
		until(m.t, b.id.String()+" is missed", func() bool {
			got := m.causeOf(b)
			for _, c := range causes {
				if got == c {
					return true
				}
			}
			return false
		})
	}
}

// TestFaults kills, suspends and blinds the coordinator under load.
func TestFaults(t *testing.T) {
	m := newMesh(t)
	all := map[string]int{"near": 3, "half": 6, "lost": 5}
	m.endure("coordinator killed and restarted", all, func() {
		m.c.kill()
		m.load.more(faultCalls)
		m.c.start()
	})
	m.endure("coordinator suspended for 10 s", all, func() {
		m.c.signal(syscall.SIGSTOP)
		<-time.After(pauseTime)
		m.load.more(faultCalls)
		m.c.signal(syscall.SIGCONT)
	})
	m.endure("data lost, coordinator restarted", all, func() {
		m.c.kill()
		m.c.forget()
		m.load.more(faultCalls)
		m.c.start()
	})
	m.endure("half of the mesh invisible, guard", all, func() {
		m.hide(true)
		m.missed(pb.Cause_CAUSE_GUARDED)
		m.load.more(faultCalls)
		m.hide(false)
	})
	m.end()
}

// TestPanicThreshold hides half of the mesh from a coordinator without a mass-failure guard. At most
// half of the endpoints of each service leave.
func TestPanicThreshold(t *testing.T) {
	m := newMesh(t, "guard_min: off")
	m.endure("half of the mesh invisible, no guard", map[string]int{"near": 3, "half": 3, "lost": 3}, func() {
		m.hide(true)
		m.missed(pb.Cause_CAUSE_UNREACHABLE, pb.Cause_CAUSE_LEASE_EXPIRED)
		m.load.more(faultCalls)
		m.hide(false)
	})
	m.end()
}
