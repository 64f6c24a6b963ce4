package sim

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// episode is a trouble with a beginning and, mostly, an end.
func (g *generator) episode() {
	one(g,
		g.dies, g.dies, g.deploys, g.drains, g.flaps, g.flaps, g.says, g.isCut, g.isCut, g.isLate, g.isMute, g.isParted, g.isParted,
		g.pauses, g.pauses, g.crashes, g.stalls, g.jumps, g.loses, g.misconfigures, g.isForced, g.scales, g.leaves,
	)()
}

func (g *generator) dies() {
	who := g.someone()
	g.do(0, OpKill, who)
	if g.IntN(4) > 0 {
		g.do(g.soon(), OpAdd, who)
	}
}

// deploys replaces the instances of a service one after the other.
func (g *generator) deploys() {
	s, pause := g.some(), g.below(8*time.Second)
	for i := range s.Instances {
		who := fmt.Sprint(s.Name, "/", i)
		if g.IntN(4) == 0 {
			g.do(pause, OpKill, who)
		} else {
			g.step(pause, Step{Op: OpStop, Who: who, For: time.Second})
		}
		g.do(1500*time.Millisecond, OpAdd, who)
	}
}

func (g *generator) drains() {
	who := g.someone()
	g.step(0, Step{Op: OpStop, Who: who, For: g.soon()})
	if g.IntN(3) == 0 {
		g.do(g.soon(), OpKill, who)
	}
	g.do(g.soon(), OpAdd, who)
}

func (g *generator) status() health.Status {
	return one(g, health.Serving, health.Serving, health.Degraded, health.NotServing, health.NotServing, health.Unknown, health.Maintenance)
}

func (g *generator) flaps() {
	who, pace := g.someone(), one(g, time.Second, 5*time.Second, 40*time.Second)
	for range 2 + g.IntN(8) {
		g.step(g.below(pace), Step{Op: OpSay, Who: who, Status: g.status()})
	}
	g.step(g.below(pace), Step{Op: OpSay, Who: who, Status: health.Serving})
}

func (g *generator) says() {
	g.step(0, Step{Op: OpSay, Who: g.someone(), Status: g.status()})
}

func (g *generator) isCut() {
	who := g.someone()
	g.do(0, one(g, OpCut, OpIsolate), who)
	for range g.IntN(3) {
		g.step(g.soon(), Step{Op: OpSay, Who: who, Status: g.status()})
	}
	if g.IntN(3) == 0 {
		g.do(g.soon(), OpKill, who)
		g.do(g.soon(), OpAdd, who)
	}
	g.do(g.soon(), OpHeal, who)
}

// isLate has a process say something that comes when it is replaced already.
func (g *generator) isLate() {
	who := g.someone()
	g.step(0, Step{Op: OpDelay, Who: who, For: g.below(9 * time.Second)})
	g.step(g.soon(), Step{Op: OpSay, Who: who, Status: health.NotServing})
	g.do(g.below(time.Second), OpKill, who)
	g.do(g.below(time.Second), OpAdd, who)
	g.do(g.soon(), OpHeal, who)
}

// isMute registers an address at which nobody answers.
func (g *generator) isMute() {
	who := g.someone()
	g.do(0, OpKill, who)
	g.do(0, OpCut, who)
	g.do(g.soon(), OpAdd, who)
	g.do(g.soon()+g.soon(), OpHeal, who)
}

func (g *generator) isParted() {
	zone := g.somewhere()
	for range 1 + g.IntN(2) {
		g.step(g.soon(), Step{Op: OpPart, Who: zone, N: g.IntN(4) - 2})
	}
	g.do(g.soon()+g.soon(), OpJoin, zone)
}

func (g *generator) pauses() {
	g.step(0, Step{Op: OpPause, For: one(g, g.below(time.Second), g.below(10*time.Second), g.below(2*time.Minute))})
}

func (g *generator) crashes() {
	g.step(0, Step{Op: OpCrash, For: one(g, g.below(time.Second), g.below(time.Minute), g.below(time.Minute), g.below(8*time.Minute))})
}

func (g *generator) stalls() { g.step(0, Step{Op: OpStall, For: g.soon()}) }

func (g *generator) jumps() {
	g.step(0, Step{Op: OpWall, For: one[time.Duration](g, 1, -1) * one(g, g.below(time.Second), g.below(time.Minute), g.below(time.Hour))})
}

func (g *generator) loses() {
	g.step(0, Step{Op: OpDrop, Who: g.someone(), N: 1 + g.IntN(4)})
}

func (g *generator) misconfigures() {
	who := g.someone()
	g.do(0, OpConfig, who)
	g.do(g.soon(), OpHeal, who)
}

func (g *generator) isForced() {
	who := g.someone()
	g.step(0, Step{Op: OpOverride, Who: who, Status: one(g, health.Maintenance, health.NotServing, health.Serving), For: one(g, 0, g.soon())})
	if g.IntN(2) == 0 {
		g.step(g.soon(), Step{Op: OpSay, Who: who, Status: g.status()})
	}
	g.do(g.soon(), OpClear, who)
}

// scales empties a service, or fills it.
func (g *generator) scales() {
	s := g.some()
	drain, pace := g.IntN(2) == 0, g.below(time.Second)
	for i := range s.Instances {
		who := fmt.Sprint(s.Name, "/", i)
		if drain {
			g.step(pace, Step{Op: OpStop, Who: who, For: time.Second})
		} else {
			g.do(pace, OpAdd, who)
		}
	}
}

func (g *generator) leaves() {
	who := g.someone()
	g.do(0, OpRemove, who)
	if g.IntN(2) == 0 {
		g.do(g.soon(), OpKill, who)
	}
	g.do(g.soon(), OpAdd, who)
}
