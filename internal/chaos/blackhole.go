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
	// blackholePatience replaces 15 s, and blackholeTTL 30 s, so that both are
	// over several times while nothing is heard.
	blackholePatience = 6 * time.Second
	blackholeTTL      = 9 * time.Second
	blackholeTime     = 22 * time.Second
)

// halfMesh is a mesh of which one half is going to vanish.
type halfMesh struct {
	lost, living []*hosted
	alone        *hosted // the only instance of its service
}

// blackhole stops the process of half of the mesh. That is likelier to be the
// network's fault, or the coordinator's, than its end: nobody may be called dead
// for it. Those who say that they are not well, and those who refuse, must.
func blackhole(r *rig, v *Verdict) error {
	n := r.cfg.instances(blackholeTargets)
	if err := r.begin(settings{patient: blackholePatience, policy: map[string]string{"guard_max": "10m"}}); err != nil {
		return err
	}
	m, err := r.hostHalves(n)
	if err != nil {
		return err
	}
	r.say("%d targets are SERVING; half of them vanish for %v", n, blackholeTime)
	began := time.Now()
	if err := m.lost[0].stop(); err != nil {
		return err
	}
	if err := r.whileHalfIsLost(v, m); err != nil {
		return err
	}
	if err := r.wait(blackholeTime - time.Since(began)); err != nil {
		return err
	}
	if err := r.heldNotDead(v, m); err != nil {
		return err
	}
	if err := m.lost[0].cont(); err != nil {
		return err
	}
	return r.confirmAgain(v, m, n)
}

// hostHalves hosts one half in one process, and the other in another but for a
// service of one instance. Both have leased and static targets.
func (r *rig) hostHalves(n int) (*halfMesh, error) {
	half := (n + 1) / 2 // the guard trips at half
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
	return &halfMesh{[]*hosted{lost}, []*hosted{living}, alone}, r.settle(lost, living, alone)
}

// whileHalfIsLost waits for the guard, and then lets one service die and some
// targets fail.
func (r *rig) whileHalfIsLost(v *Verdict, m *halfMesh) error {
	began := time.Now()
	if err := r.main.until(r.ctx, "the coordinator is DEGRADED", is(degraded, health.ID{})); err != nil {
		return err
	}
	v.note("the guard tripped %v after half of the mesh had vanished", time.Since(began).Round(100*time.Millisecond))
	r.say("the guard is tripped; a service is killed, and %d targets say NOT_SERVING", someTargets)
	r.record.now(notServing, r.bounds.Refusal, ids(m.alone)...)
	m.alone.kill()
	return r.flipSome(m.living...)
}

// heldNotDead wants everybody to be told what is held, and that it is.
func (r *rig) heldNotDead(v *Verdict, m *halfMesh) error {
	guards, err := r.metric("meshhealth_tripped_guards")
	if err != nil {
		return err
	}
	v.require(guards == 1, "meshhealth_tripped_guards is %v, want 1", guards)
	status, err := r.command("status", "--coordinator", r.coordinator.at)
	if err != nil {
		return err
	}
	said, _, _ := strings.Cut(status, "\n\n")
	v.require(strings.Contains(said, "half of the mesh cannot be reached"), "status does not begin with that half of the mesh cannot be reached: %s", said)
	c, err := r.client()
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
	v.note("%d of %d that cannot be reached are listed as held", held, len(ids(m.lost...)))
	v.require(held == len(ids(m.lost...)), "List says of %d targets that they are held, want %d", held, len(ids(m.lost...)))
	return nil
}

// confirmAgain wants everybody back.
func (r *rig) confirmAgain(v *Verdict, m *halfMesh, n int) error {
	r.say("the lost half is back")
	began := time.Now()
	err := r.main.until(r.ctx, "all that was held is confirmed", func(view map[health.ID]Seen) bool {
		return confirmed(serving, ids(m.lost...))(view) && view[health.ID{}].State == serving
	})
	if err != nil {
		return fmt.Errorf("after SIGCONT: %w", err)
	}
	v.note("everybody was confirmed %v after the half was back", time.Since(began).Round(100*time.Millisecond))
	if err := r.wait(r.coordinator.settings.unreachableAfter()); err != nil {
		return err
	}
	r.judge(v, n)
	return nil
}
