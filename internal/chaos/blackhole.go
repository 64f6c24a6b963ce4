package chaos

import (
	"fmt"
	"strings"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

const (
	blackholeTargets = 1000
	// blackholePatience is the setting unreachable_after of the coordinator: the silence
	// after which a target is unreachable. Half of the mesh is silent for more than three
	// times this value.
	blackholePatience = 6 * time.Second
	// blackholeTTL is the TTL of all leases in the scenario. It is shorter than
	// blackholeTime, so that the leases of suspended targets expire.
	blackholeTTL = 9 * time.Second
	// blackholeTime is the time for which half of the mesh is suspended.
	blackholeTime = 22 * time.Second
)

// halfMesh has the processes that host a mesh. One half of the targets will be suspended.
type halfMesh struct {
	lost   []*hostProcess // the processes of the half that is suspended
	living []*hostProcess // the processes of the half that is not suspended
	alone  *hostProcess   // the process that hosts the only instance of a service, and that is killed
}

// blackhole is a scenario. It suspends half of the mesh. No suspended target may be published as
// dead: a fault of the network or of the coordinator is more likely than the death of half of a
// mesh. Other targets that report NOT_SERVING, or whose port is closed, must be published as
// NOT_SERVING.
func blackhole(r *rig, v *Verdict) error {
	n := r.cfg.instances(blackholeTargets)
	if err := r.start(settings{unreachable: blackholePatience, policy: map[string]string{"guard_max": "10m"}}); err != nil {
		return err
	}
	m, err := hostHalfMesh(r, n)
	if err != nil {
		return err
	}
	r.progress("%d targets are SERVING; half of them are suspended for %v", n, blackholeTime)
	began := time.Now()
	if err := m.lost[0].suspend(); err != nil {
		return err
	}
	if err := failDuringGuard(r, v, m); err != nil {
		return err
	}
	if err := r.wait(blackholeTime - time.Since(began)); err != nil {
		return err
	}
	if err := requireGuarded(r, v, m); err != nil {
		return err
	}
	if err := m.lost[0].resume(); err != nil {
		return err
	}
	return resumeLostHalf(r, v, m, n)
}

// hostHalfMesh starts n targets. One process hosts half of them, a second process hosts all
// others but one, and a third process hosts the last one.
func hostHalfMesh(r *rig, n int) (*halfMesh, error) {
	half := (n + 1) / 2 // the mass-failure guard trips if at least half of the mesh is suspect
	groups := func(name string, n int) []Group {
		return []Group{
			{Kind: kindOurs, Service: name + "-leased", Targets: n / 2, Leased: true, TTL: blackholeTTL},
			{Kind: kindStock, Service: name + "-stock", Targets: n - n/2},
		}
	}
	lost, err := r.host(groups("lost", half)...)
	if err != nil {
		return nil, err
	}
	living, err := r.host(groups("living", n-half-1)...)
	if err != nil {
		return nil, err
	}
	alone, err := r.host(Group{Kind: kindStock, Service: "alone", Targets: 1})
	if err != nil {
		return nil, err
	}
	return &halfMesh{[]*hostProcess{lost}, []*hostProcess{living}, alone}, r.waitUntilServing(lost, living, alone)
}

// failDuringGuard waits until the mass-failure guard trips. Then it kills the service with one
// instance, and makes some targets of the half that is not suspended NOT_SERVING.
func failDuringGuard(r *rig, v *Verdict, m *halfMesh) error {
	began := time.Now()
	if err := r.watcher.waitFor(r.ctx, "the coordinator is DEGRADED", hasState(degraded, health.ID{})); err != nil {
		return err
	}
	v.note("the guard tripped %v after half of the mesh was suspended", time.Since(began).Round(100*time.Millisecond))
	r.progress("the guard tripped; one service is killed, and %d targets become NOT_SERVING", someTargets)
	r.record.add(notServing, r.bounds.Refusal, ids(m.alone)...)
	m.alone.kill()
	return r.flipSome(m.living...)
}

// requireGuarded requires that the metrics and `meshhealth status` show the tripped guard. List
// must show that the guard keeps the status of every suspended target.
func requireGuarded(r *rig, v *Verdict, m *halfMesh) error {
	guards, err := r.metric("meshhealth_tripped_guards")
	if err != nil {
		return err
	}
	v.require(guards == 1, "meshhealth_tripped_guards is %v, want 1", guards)
	status, err := r.commandOutput("status", "--coordinator", r.coordinator.at)
	if err != nil {
		return err
	}
	said, _, _ := strings.Cut(status, "\n\n")
	v.require(strings.Contains(said, "half of the mesh cannot be reached"), "the first paragraph of status does not report that half of the mesh cannot be reached: %s", said)
	c, err := r.newClient()
	if err != nil {
		return err
	}
	all, err := list(r.ctx, c, nil)
	if err != nil {
		return err
	}
	held := 0
	for _, h := range all {
		if h.GetCause() == pb.Cause_CAUSE_GUARDED && h.GetInstance() != "" && h.GetStatus() == pb.Status_STATUS_SERVING && h.GetUnconfirmed() {
			held++
		}
	}
	v.note("%d of %d suspended targets are listed as guarded", held, len(ids(m.lost...)))
	v.require(held == len(ids(m.lost...)), "List reports %d guarded targets, want %d", held, len(ids(m.lost...)))
	return nil
}

// resumeLostHalf resumes the suspended half and requires that all targets become confirmed
// again.
func resumeLostHalf(r *rig, v *Verdict, m *halfMesh, n int) error {
	r.progress("the suspended half is resumed")
	began := time.Now()
	err := r.watcher.waitFor(r.ctx, "all guarded targets are confirmed", func(view map[health.ID]Seen) bool {
		return allConfirmed(serving, ids(m.lost...))(view) && view[health.ID{}].State == serving
	})
	if err != nil {
		return fmt.Errorf("after SIGCONT: %w", err)
	}
	v.note("all targets were confirmed %v after the half was resumed", time.Since(began).Round(100*time.Millisecond))
	if err := r.wait(r.coordinator.settings.unreachableAfter()); err != nil {
		return err
	}
	r.countErrors(v, n)
	return nil
}
