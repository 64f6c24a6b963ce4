package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Size has the bounds of a script that [Generate] makes.
type Size struct {
	// Instances is the least number of instances in all services together. Generate adds
	// services until they have this number.
	Instances int
	Episodes  int           // number of random failures in the script
	Length    time.Duration // each random failure begins at most 5 s + Length after the begin of the script
}

// Generate returns a random script. The same seed and size always give the same script.
func Generate(seed uint64, size Size) *Script {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), s: &Script{}, length: size.Length}
	g.setup(seed, size)
	g.begin()
	for range size.Episodes {
		g.at = 5*time.Second + g.randomTime(g.length)
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

// randomTime returns a random time between 1 ms and d, in whole milliseconds.
func (g *generator) randomTime(d time.Duration) time.Duration {
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
		MeshRule: []health.Rule{health.Available, health.Available, health.Available, health.Worst}[seed%4], MeshMinAvailable: []int{50, 34, 75}[seed%3],
		FlapHalfLife: one(g, -1, 5*time.Second, 20*time.Second, 60*time.Second), FlapMax: one[time.Duration](g, 20, 60, 120) * time.Second,
	}}
	for n := 0; n < size.Instances; {
		s := g.service(len(g.s.Services), size.Instances)
		g.s.Services = append(g.s.Services, s)
		n += s.Instances
	}
}

func (g *generator) service(n, most int) Service {
	s := Service{
		Name:      fmt.Sprint("s", n),
		Instances: 1 + g.IntN(one(g, 3, 10, max(10, most/2))),
		Zones:     g.zones,
		Source:    one(g, health.SourceMeshhealth, health.SourceMeshhealth, health.SourceWatch, health.SourcePoll),
		Static:    g.IntN(4) == 0,
		Policy: health.ServicePolicy{
			Rule:         one(g, health.Available, health.Available, health.Worst, health.AtLeast(1), health.AtLeast(3), health.Percent(60)),
			MinAvailable: one(g, 0, 0, 20, 90),
		},
	}
	weight := g.IntN(5)
	s.Policy.Optional, s.Policy.Critical = weight == 0, weight == 1
	return s
}

func (g *generator) step(delay time.Duration, s Step) {
	g.at += delay
	s.At = g.at
	g.s.Steps = append(g.s.Steps, s)
}

// addStep adds a step about an instance or a zone to the script. delay is the time between the
// previous step and the new one.
func (g *generator) addStep(delay time.Duration, op Op, who string) {
	g.step(delay, Step{Op: op, Who: who})
}

// begin adds steps that start about seven of eight instances in the first 4 s of the script.
func (g *generator) begin() {
	for _, s := range g.s.Services {
		for i := range s.Instances {
			if g.IntN(8) > 0 {
				g.at = g.randomTime(4 * time.Second)
				g.addStep(0, OpAdd, s.instance(i))
			}
		}
	}
}

func (g *generator) some() *Service { return &g.s.Services[g.IntN(len(g.s.Services))] }

func (g *generator) someone() string {
	s := g.some()
	return s.instance(g.IntN(s.Instances))
}

func (g *generator) somewhere() string {
	if g.zones == 0 || g.IntN(3) == 0 {
		return ""
	}
	return fmt.Sprint("z", g.IntN(g.zones))
}

// randomDelay returns a random delay. The largest possible delay is also random: 100 ms, 2 s, 20 s or
// 2 min.
func (g *generator) randomDelay() time.Duration {
	return one(g, g.randomTime(100*time.Millisecond), g.randomTime(2*time.Second), g.randomTime(20*time.Second), g.randomTime(2*time.Minute))
}

// episode adds the steps of one random failure to the script. Most failures also have steps
// that end them.
func (g *generator) episode() {
	one(g,
		g.dies, g.dies, g.deploys, g.drains, g.flaps, g.flaps, g.says, g.isCut, g.isCut, g.isLate, g.isMute, g.isParted, g.isParted,
		g.pauses, g.pauses, g.crashes, g.stalls, g.jumps, g.loses, g.misconfigures, g.isForced, g.scales, g.leaves,
		g.isTaken, g.isTaken, g.isTaken, g.isDiverted, g.answersBadly, g.answersBadly, g.allAnswerBadly, g.forgets, g.forgets, g.isStub, g.stutters,
	)()
}

func (g *generator) dies() {
	who := g.someone()
	g.addStep(0, OpKill, who)
	if g.IntN(4) > 0 {
		g.addStep(g.randomDelay(), OpAdd, who)
	}
}

// deploys adds steps that replace the instances of a service one after the other.
func (g *generator) deploys() {
	s, pause := g.some(), g.randomTime(8*time.Second)
	for i := range s.Instances {
		who := s.instance(i)
		if g.IntN(4) == 0 {
			g.addStep(pause, OpKill, who)
		} else {
			g.step(pause, Step{Op: OpStop, Who: who, For: time.Second})
		}
		g.addStep(1500*time.Millisecond, OpAdd, who)
	}
}

func (g *generator) drains() {
	who := g.someone()
	g.step(0, Step{Op: OpStop, Who: who, For: g.randomDelay()})
	if g.IntN(3) == 0 {
		g.addStep(g.randomDelay(), OpKill, who)
	}
	g.addStep(g.randomDelay(), OpAdd, who)
}

func (g *generator) status() health.Status {
	return one(g, health.Serving, health.Serving, health.Degraded, health.NotServing, health.NotServing, health.Unknown, health.Maintenance)
}

func (g *generator) flaps() {
	who, pace := g.someone(), one(g, time.Second, 5*time.Second, 40*time.Second)
	for range 2 + g.IntN(8) {
		g.step(g.randomTime(pace), Step{Op: OpSay, Who: who, Status: g.status()})
	}
	g.step(g.randomTime(pace), Step{Op: OpSay, Who: who, Status: health.Serving})
}

func (g *generator) says() {
	g.step(0, Step{Op: OpSay, Who: g.someone(), Status: g.status()})
}

func (g *generator) isCut() {
	who := g.someone()
	g.addStep(0, one(g, OpCut, OpIsolate), who)
	for range g.IntN(3) {
		g.step(g.randomDelay(), Step{Op: OpSay, Who: who, Status: g.status()})
	}
	if g.IntN(3) == 0 {
		g.addStep(g.randomDelay(), OpKill, who)
		g.addStep(g.randomDelay(), OpAdd, who)
	}
	g.addStep(g.randomDelay(), OpHeal, who)
}

// isLate delays the last report of a process. The report can arrive after a new process of the
// instance has started.
func (g *generator) isLate() {
	who := g.someone()
	g.step(0, Step{Op: OpDelay, Who: who, For: g.randomTime(9 * time.Second)})
	g.step(g.randomDelay(), Step{Op: OpSay, Who: who, Status: health.NotServing})
	g.addStep(g.randomTime(time.Second), OpKill, who)
	g.addStep(g.randomTime(time.Second), OpAdd, who)
	g.addStep(g.randomDelay(), OpHeal, who)
}

// isMute starts an instance that can register, while the coordinator cannot reach it.
func (g *generator) isMute() {
	who := g.someone()
	g.addStep(0, OpKill, who)
	g.addStep(0, OpCut, who)
	g.addStep(g.randomDelay(), OpAdd, who)
	g.addStep(g.randomDelay()+g.randomDelay(), OpHeal, who)
}

func (g *generator) isParted() {
	zone := g.somewhere()
	for range 1 + g.IntN(2) {
		g.step(g.randomDelay(), Step{Op: OpPart, Who: zone, N: g.IntN(4) - 2})
	}
	g.addStep(g.randomDelay()+g.randomDelay(), OpJoin, zone)
}

func (g *generator) pauses() {
	g.step(0, Step{Op: OpPause, For: one(g, g.randomTime(time.Second), g.randomTime(10*time.Second), g.randomTime(2*time.Minute))})
}

func (g *generator) crashes() {
	g.step(0, Step{Op: OpCrash, For: one(g, g.randomTime(time.Second), g.randomTime(time.Minute), g.randomTime(time.Minute), g.randomTime(8*time.Minute))})
}

func (g *generator) stalls() { g.step(0, Step{Op: OpStall, For: g.randomDelay()}) }

func (g *generator) jumps() {
	g.step(0, Step{Op: OpWall, For: one[time.Duration](g, 1, -1) * one(g, g.randomTime(time.Second), g.randomTime(time.Minute), g.randomTime(time.Hour))})
}

func (g *generator) loses() {
	g.step(0, Step{Op: OpDrop, Who: g.someone(), N: 1 + g.IntN(4)})
}

func (g *generator) misconfigures() {
	who := g.someone()
	g.addStep(0, OpConfig, who)
	g.addStep(g.randomDelay(), OpHeal, who)
}

func (g *generator) isForced() {
	who := g.someone()
	g.step(0, Step{Op: OpOverride, Who: who, Status: one(g, health.Maintenance, health.NotServing, health.Serving), For: one(g, 0, g.randomDelay())})
	if g.IntN(2) == 0 {
		g.step(g.randomDelay(), Step{Op: OpSay, Who: who, Status: g.status()})
	}
	g.addStep(g.randomDelay(), OpClear, who)
}

// scales stops all instances of a service, or starts all of them.
func (g *generator) scales() {
	s := g.some()
	drain, pace := g.IntN(2) == 0, g.randomTime(time.Second)
	for i := range s.Instances {
		who := s.instance(i)
		if drain {
			g.step(pace, Step{Op: OpStop, Who: who, For: time.Second})
		} else {
			g.addStep(pace, OpAdd, who)
		}
	}
}

func (g *generator) leaves() {
	who := g.someone()
	g.addStep(0, OpRemove, who)
	if g.IntN(2) == 0 {
		g.addStep(g.randomDelay(), OpKill, who)
	}
	g.addStep(g.randomDelay(), OpAdd, who)
}

// isTaken kills the process of an instance and starts foreign processes at its address. A
// foreign process often stays until the lease of the instance has expired.
func (g *generator) isTaken() {
	who := g.someone()
	if g.IntN(3) == 0 {
		g.addStep(0, one(g, OpCut, OpIsolate), who)
		g.addStep(g.randomDelay(), OpHeal, who)
	}
	g.addStep(0, OpKill, who)
	for range 1 + g.IntN(3) {
		g.step(g.randomDelay(), Step{Op: OpTake, Who: who, N: g.IntN(4)})
		if g.IntN(3) == 0 {
			g.step(g.randomDelay(), Step{Op: OpSay, Who: who, Status: g.status()})
			g.step(g.randomDelay(), Step{Op: OpSay, Who: who, Status: health.Serving})
		}
	}
	g.at += one(g, 0, time.Minute, 2*time.Minute)
	if g.IntN(3) == 0 {
		g.addStep(g.randomDelay(), OpLeave, who)
	}
	g.addStep(g.randomDelay(), OpAdd, who)
}

// isDiverted makes the address of a living instance lead to a foreign process. A later step
// heals the instance.
func (g *generator) isDiverted() {
	who := g.someone()
	g.step(0, Step{Op: OpTake, Who: who, N: g.IntN(4)})
	if g.IntN(2) == 0 {
		g.step(g.randomDelay(), Step{Op: OpSay, Who: who, Status: g.status()})
	}
	if g.IntN(3) == 0 {
		g.addStep(g.randomDelay(), OpKill, who)
		g.addStep(g.randomDelay(), OpAdd, who)
	}
	g.addStep(g.randomDelay(), OpHeal, who)
}

// answersBadly makes a process answer health calls with errors or invalid messages instead of
// a status.
func (g *generator) answersBadly() {
	who := g.someone()
	for range 1 + g.IntN(2) {
		g.step(g.randomDelay(), Step{Op: one(g, OpFail, OpGarble, OpFill), Who: who, N: g.IntN(2)})
		if g.IntN(4) == 0 {
			g.addStep(g.randomDelay(), one(g, OpCut, OpIsolate), who)
		}
	}
	g.addStep(g.randomDelay(), OpHeal, who)
}

// allAnswerBadly makes all instances of a service answer health calls wrongly at the same
// time, as if a common dependency had failed.
func (g *generator) allAnswerBadly() {
	s, op := g.some(), one(g, OpFail, OpFail, OpGarble, OpFill)
	for i := range s.Instances {
		g.step(g.randomTime(100*time.Millisecond), Step{Op: op, Who: s.instance(i), N: 1})
	}
	g.at += g.randomDelay()
	for i := range s.Instances {
		g.addStep(g.randomTime(100*time.Millisecond), OpHeal, s.instance(i))
	}
}

// forgets makes a stock server answer that the name in a health call is unknown, until a later step. In
// half of the cases the server has just started and has never known the name.
func (g *generator) forgets() {
	who := g.someone()
	if g.IntN(2) == 0 {
		g.addStep(0, OpKill, who)
		g.addStep(0, OpAdd, who)
	}
	g.addStep(0, OpForget, who)
	g.step(g.randomDelay(), Step{Op: OpSay, Who: who, Status: g.status()})
	g.addStep(g.randomDelay(), OpName, who)
	if g.IntN(2) == 0 {
		g.addStep(g.randomDelay(), OpForget, who)
		g.addStep(g.randomDelay(), OpName, who)
	}
	g.step(g.randomDelay(), Step{Op: OpSay, Who: who, Status: health.Serving})
}

func (g *generator) isStub() {
	who := g.someone()
	g.addStep(0, OpStub, who)
	for range g.IntN(3) {
		g.step(g.randomDelay(), Step{Op: OpSay, Who: who, Status: g.status()})
	}
	g.addStep(g.randomDelay(), OpHeal, who)
}

// stutters pauses the coordinator 10 to 39 times, each time for 0.6 s to 4 s. Between the
// pauses it cuts the paths to some instances.
func (g *generator) stutters() {
	every := 3*time.Second + g.randomTime(5*time.Second)
	pause := 600*time.Millisecond + g.randomTime(min(every-time.Second, 3400*time.Millisecond))
	op := one(g, OpCut, OpIsolate)
	var gone []string
	for range 10 + g.IntN(30) {
		if g.IntN(6) == 0 {
			gone = append(gone, g.someone())
			g.addStep(0, op, gone[len(gone)-1])
		}
		g.step(every, Step{Op: OpPause, For: pause})
	}
	for _, who := range gone {
		g.addStep(g.randomTime(every), OpHeal, who)
	}
}
