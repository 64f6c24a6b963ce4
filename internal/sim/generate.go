package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Size is how big a script is.
type Size struct {
	Instances int // about
	Episodes  int
	Length    time.Duration
}

// Generate makes the script of a seed.
func Generate(seed uint64, size Size) *Script {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), s: &Script{}, length: size.Length}
	g.setup(seed, size)
	g.begin()
	for range size.Episodes {
		g.at = 5*time.Second + g.below(g.length)
		g.episode()
	}
	slices.SortStableFunc(g.s.Steps, func(a, b Step) int { return int(a.At - b.At) })
	return g.s
}

type generator struct {
	*rand.Rand
	s      *Script
	at     time.Duration
	length time.Duration
	zones  int
}

// below is a random time below d, in milliseconds; small ones are as likely as
// big ones.
func (g *generator) below(d time.Duration) time.Duration {
	ms := 1 + g.Int64N(int64(d/time.Millisecond))
	return time.Duration(ms) * time.Millisecond
}

func one[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

func (g *generator) setup(seed uint64, size Size) {
	g.zones = g.IntN(4)
	g.s.Setup = Setup{Seed: seed, LogBytes: one(g, 8<<10, 64<<10, 1<<20), Policy: health.MeshPolicy{
		RecoverHold: one(g, -1, time.Second, 2*time.Second, 5*time.Second), RecoverAfter: 1 + g.IntN(3),
		UnreachableAfter: one[time.Duration](g, 5, 15, 15, 20) * time.Second, StartupGrace: one[time.Duration](g, 5, 20, 60) * time.Second,
		DeregisterAfter: one[time.Duration](g, 20, 120) * time.Second, Amnesty: one(g, -1, 5*time.Second, 30*time.Second),
		MinAvailable: one(g, 50, 50, 34, 75, 100), GuardMin: one(g, -1, 1, 3, 10, 10), GuardMax: one[time.Duration](g, 20, 60, 120) * time.Second,
		FlapHalfLife: one(g, -1, 5*time.Second, 20*time.Second, 60*time.Second), FlapMax: one[time.Duration](g, 20, 60, 120) * time.Second,
	}}
	for n := 0; n < size.Instances; {
		s := g.service(len(g.s.Services), size.Instances)
		g.s.Services = append(g.s.Services, s)
		n += s.Instances
	}
}

func (g *generator) service(n, most int) Service {
	return Service{
		Name:      fmt.Sprint("s", n),
		Instances: 1 + g.IntN(one(g, 3, 10, max(10, most/2))),
		Zones:     g.zones,
		Source:    one(g, health.SourceMeshhealth, health.SourceMeshhealth, health.SourceWatch, health.SourcePoll),
		Static:    g.IntN(4) == 0,
		Policy: health.ServicePolicy{
			Rule:         one(g, health.Available, health.Available, health.Worst, health.Any, health.AtLeast(3), health.Percent(60)),
			MinAvailable: one(g, 0, 0, 20, 90),
			Optional:     g.IntN(5) == 0,
		},
	}
}

func (g *generator) step(after time.Duration, s Step) {
	g.at += after
	s.At = g.at
	g.s.Steps = append(g.s.Steps, s)
}

// do is a step about an instance, so much later.
func (g *generator) do(after time.Duration, op Op, who string) { g.step(after, Step{Op: op, Who: who}) }

// begin starts most of what there is.
func (g *generator) begin() {
	for _, s := range g.s.Services {
		for i := range s.Instances {
			if g.IntN(8) > 0 {
				g.at = g.below(4 * time.Second)
				g.do(0, OpAdd, fmt.Sprint(s.Name, "/", i))
			}
		}
	}
}

func (g *generator) some() *Service { return &g.s.Services[g.IntN(len(g.s.Services))] }

func (g *generator) someone() string {
	s := g.some()
	return fmt.Sprint(s.Name, "/", g.IntN(s.Instances))
}

func (g *generator) somewhere() string {
	if g.zones == 0 || g.IntN(3) == 0 {
		return ""
	}
	return fmt.Sprint("z", g.IntN(g.zones))
}

// soon is a time in which something may or may not be over.
func (g *generator) soon() time.Duration {
	return one(g, g.below(100*time.Millisecond), g.below(2*time.Second), g.below(20*time.Second), g.below(2*time.Minute))
}
