//go:build soak

package sim

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

var (
	sweep = flag.Bool("sweep", false, "play the same scripts with other defaults")
	flaps = flag.Bool("sweep.flaps", false, "play those only that flap")
	plain = flag.Bool("sweep.plain", false, "play them with the defaults only")
)

// sweepScripts is the number of scripts that are played for each value of a setting.
const sweepScripts = 60

// sweepScript returns a script with the default policy in which instances start
// slowly, flap, die and vanish.
func sweepScript(seed uint64) *Script {
	s := Generate(seed, Size{Instances: 80, Episodes: 60, Length: 20 * time.Minute})
	s.Policy, s.Start = health.MeshPolicy{FlapMax: 2 * time.Minute}, 40*time.Second
	for i := range s.Services {
		s.Services[i].Policy = health.ServicePolicy{}
	}
	return s
}

// sweepRow plays all scripts with one change of the default policy, and returns a row of a table
// with the figures.
func sweepRow(name string, change func(*health.MeshPolicy)) string {
	var f Figures
	for seed := range uint64(sweepScripts) {
		s := sweepScript(seed)
		change(&s.Policy)
		g := Measure(s)
		f.add(&g)
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %v / %v | %v / %v |", name, f.Transitions, f.FalseDown, f.ServiceDown,
		quantile(f.Detected, 50).Round(100*time.Millisecond), quantile(f.Detected, 95).Round(100*time.Millisecond),
		quantile(f.Held, 50).Round(100*time.Millisecond), quantile(f.Held, 95).Round(100*time.Millisecond))
}

// flapRow makes instances flap for twenty minutes at several paces, and returns a row of a
// table. For each pace, the row has the number of published transitions per instance, and how
// long an instance is suppressed after its last change.
func flapRow(name string, change func(*health.MeshPolicy)) string {
	row := "| " + name
	for _, pace := range []time.Duration{5 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute} {
		const instances, length = 10, 20 * time.Minute
		s := fleet(1, instances, instances, health.SourceMeshhealth)
		change(&s.Policy)
		last := time.Duration(0)
		for at := time.Minute; at < length; at += pace {
			for i := range instances {
				s.step(at, OpSay, i)
				s.Steps[len(s.Steps)-1].Status = health.NotServing
			}
			for i := range instances {
				last = at + pace/2
				s.step(last, OpSay, i)
				s.Steps[len(s.Steps)-1].Status = health.Serving
			}
		}
		s.Steps = append(s.Steps, Step{At: last + 15*time.Minute, Op: OpWall})
		f := Measure(s)
		held := time.Duration(0)
		if n := len(f.Held); n > 0 {
			held = f.Held[n-1]
		}
		row += fmt.Sprintf(" | %d, %v", f.Transitions/instances, held.Round(time.Second))
	}
	return row + " |"
}

const flapHead = `| | every 5 s | 20 s | 1 min | 5 min |
|---|---|---|---|---|`

const sweepHead = `| | transitions | false | services | detected 50/95 % | held back 50/95 % |
|---|---|---|---|---|---|`

func TestSweep(t *testing.T) {
	if !*sweep {
		t.Skip("asked for by -sweep")
	}
	fmt.Println(flapHead)
	fmt.Println(flapRow("the defaults", func(p *health.MeshPolicy) { p.FlapMax = 0 }))
	if !*plain {
		for _, v := range []time.Duration{15 * time.Second, 4 * time.Minute, -1} {
			fmt.Println(flapRow(fmt.Sprint("FlapHalfLife ", v), func(p *health.MeshPolicy) { p.FlapHalfLife, p.FlapMax = v, 0 }))
		}
	}
	if *flaps {
		return
	}
	fmt.Println(sweepHead)
	fmt.Println(sweepRow("the defaults", func(*health.MeshPolicy) {}))
	if *plain {
		return
	}
	seconds := func(n ...int) (all []time.Duration) {
		for _, s := range n {
			all = append(all, time.Duration(s)*time.Second)
		}
		return all
	}
	for _, v := range seconds(5, 10, 30) {
		fmt.Println(sweepRow(fmt.Sprint("UnreachableAfter ", v), func(p *health.MeshPolicy) { p.UnreachableAfter = v }))
	}
	for _, v := range append(seconds(1, 5, 10), -1) {
		fmt.Println(sweepRow(fmt.Sprint("RecoverHold ", v), func(p *health.MeshPolicy) { p.RecoverHold = v }))
	}
	for _, v := range seconds(10, 30, 120) {
		fmt.Println(sweepRow(fmt.Sprint("StartupGrace ", v), func(p *health.MeshPolicy) { p.StartupGrace = v }))
	}
	for _, v := range []int{-1, 3, 30} {
		fmt.Println(sweepRow(fmt.Sprint("GuardMin ", v), func(p *health.MeshPolicy) { p.GuardMin = v }))
	}
	for _, v := range append(seconds(15, 240), -1) {
		fmt.Println(sweepRow(fmt.Sprint("FlapHalfLife ", v), func(p *health.MeshPolicy) { p.FlapHalfLife = v }))
	}
	constants(t)
}

// constants plays the scripts with other values of constants that are not settings.
func constants(t *testing.T) {
	files, err := filepath.Glob("testdata/constants/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		out, err := exec.Command(build(t, "soak", plant(t, file)), "-test.run=^TestSweep$", "-sweep", "-sweep.plain").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
			continue
		}
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".txtar"), "_", " ")
		for row := range strings.Lines(string(out)) {
			if strings.HasPrefix(row, "| the defaults |") {
				fmt.Print(strings.Replace(row, "the defaults", name, 1))
			}
		}
	}
}

// add adds the figures g of another script to f.
func (f *Figures) add(g *Figures) {
	f.Transitions += g.Transitions
	f.FalseDown += g.FalseDown
	f.ServiceDown += g.ServiceDown
	f.Detected = append(f.Detected, g.Detected...)
	f.Held = append(f.Held, g.Held...)
}

// quantile returns the value that the given percentage of all values do not exceed.
func quantile(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)*percent/100]
}
