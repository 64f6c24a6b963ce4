package chaos

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// resident returns how much memory a process has, in bytes; 0 where the system
// does not say.
func resident(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb << 10
		}
	}
	return 0
}

// children returns the children of a process, where the system says.
func children(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var all []int
	for _, field := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(field); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func mib(bytes int) string { return fmt.Sprintf("%d MiB", (bytes+1<<19)>>20) }

// growth is a coordinator's memory before something, and at most during it.
type growth struct{ before, most int }

// watchMemory looks at the coordinator's memory until the function it returns is
// called.
func (r *rig) watchMemory() (stop func() growth) {
	g := growth{before: r.coordinator.resident()}
	ctx, cancel := context.WithCancel(r.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for sleep(ctx, 250*time.Millisecond) {
			g.most = max(g.most, r.coordinator.resident())
		}
	})
	return func() growth { cancel(); wg.Wait(); return g }
}

// memory fails the scenario if the coordinator took more than so much more.
func (v *Verdict) memory(g growth, limit int) {
	if g.before == 0 {
		v.note("this system does not say how much memory a process has")
		return
	}
	v.note("the coordinator's memory went from %s to %s at most", mib(g.before), mib(g.most))
	v.require(g.most-g.before <= limit, "the coordinator's memory grew from %s to %s, want %s more at most", mib(g.before), mib(g.most), mib(limit))
}
