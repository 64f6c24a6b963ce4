package check

import (
	"context"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// Memory judges how much of its memory the process uses, in percent: of
// GOMEMLIMIT what the Go runtime holds, and on Linux of cgroup v2 limits (its
// own and those around it, such as a container's) what the group uses, without
// file cache that can be dropped. The tightest one counts. Without any limit it
// passes. Nothing stops the world.
func Memory(limit Limit) Func {
	root := os.DirFS("/")
	return limit.checked(func(ctx context.Context) error {
		ofGo, goLimited := goMemory()
		ofGroups, groupsLimited := cgroupMemory(root)
		if !goLimited && !groupsLimited {
			return nil
		}
		// Where there is no limit, nothing of it is used.
		return limit.judge(ctx, max(ofGo, ofGroups), "% of memory")
	})
}

// goMemory returns what the runtime uses of GOMEMLIMIT, counted as that counts.
func goMemory() (percent float64, limited bool) {
	most := readMetric("/gc/gomemlimit:bytes").Uint64()
	if most == math.MaxInt64 || most == 0 {
		return 0, false
	}
	used := readMetric("/memory/classes/total:bytes").Uint64() - readMetric("/memory/classes/heap/released:bytes").Uint64()
	return 100 * float64(used) / float64(most), true
}

// cgroupMemory returns what is used of the tightest limit of the process's
// groups. The format is that of Linux, Documentation/admin-guide/cgroup-v2.rst.
func cgroupMemory(root fs.FS) (percent float64, limited bool) {
	group, ok := ownGroup(root)
	if !ok {
		return 0, false
	}
	for ; ; group = path.Dir(group) {
		if used, is := groupMemory(root, path.Join("sys/fs/cgroup", group)); is {
			percent, limited = max(percent, used), true
		}
		if group == "/" {
			return percent, limited
		}
	}
}

// ownGroup reads the line of version 2, such as 0::/system.slice/a.service.
func ownGroup(root fs.FS) (string, bool) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		if group, is := strings.CutPrefix(strings.TrimSpace(line), "0::"); is {
			// Seen from inside a namespace it may lie outside of it.
			return path.Clean("/" + group), true
		}
	}
	return "", false
}

func groupMemory(root fs.FS, dir string) (percent float64, limited bool) {
	most, ok := number(root, dir+"/memory.max")
	if !ok || most == 0 {
		return 0, false
	}
	used, ok := number(root, dir+"/memory.current")
	if !ok {
		return 0, false
	}
	return 100 * max(0, used-inactiveFile(root, dir)) / most, true
}

// number reads a file of one number; "max" is none.
func number(root fs.FS, name string) (float64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return float64(n), err == nil
}

// inactiveFile is the file cache the kernel drops first.
func inactiveFile(root fs.FS, dir string) float64 {
	text, err := fs.ReadFile(root, dir+"/memory.stat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if n, is := strings.CutPrefix(line, "inactive_file "); is {
			bytes, _ := strconv.ParseUint(strings.TrimSpace(n), 10, 64)
			return float64(bytes)
		}
	}
	return 0
}
