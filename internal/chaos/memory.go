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

// residentBytes returns the resident memory of a process in bytes, or 0 if the system does not
// report the memory.
func residentBytes(pid int) int {
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

// children returns the process IDs of the children of a process. The list is empty if the
// system does not report children.
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

// memoryGrowth has the resident memory of the coordinator in bytes: before an action, and the
// largest value during the action.
type memoryGrowth struct{ before, largest int }

// watchMemory measures the memory of the coordinator every 250 ms until stop is called.
func (r *rig) watchMemory() (stop func() memoryGrowth) {
	g := memoryGrowth{before: r.coordinator.residentBytes()}
	ctx, cancel := context.WithCancel(r.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for sleep(ctx, 250*time.Millisecond) {
			g.largest = max(g.largest, r.coordinator.residentBytes())
		}
	})
	return func() memoryGrowth { cancel(); wg.Wait(); return g }
}

// requireMemory adds a failure to v if the memory of the coordinator grew by more than `limit`
// bytes. If the system does not report the memory, requireMemory adds only a note.
func (v *Verdict) requireMemory(g memoryGrowth, limit int) {
	if g.before == 0 {
		v.note("this system does not report the memory of a process")
		return
	}
	v.note("the coordinator's memory grew from %s to at most %s", mib(g.before), mib(g.largest))
	v.require(g.largest-g.before <= limit, "the coordinator's memory grew from %s to %s, want at most %s more", mib(g.before), mib(g.largest), mib(limit))
}
