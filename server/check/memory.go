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

// Memory returns a check of the memory that the process uses, in percent of its memory limit. There
// are two kinds of limits: GOMEMLIMIT of the Go runtime and, on Linux, the cgroup v2 limits. These
// are the limits of the process's group and of all its parent groups, such as the group of a
// container. For a group, file cache that the kernel can drop does not count. The highest percentage
// decides. Without any limit the check passes. The measurement does not stop the program.
func Memory(limit Limit) Func {
	root := os.DirFS("/")
	return limit.validated(func(ctx context.Context) error {
		ofGo, goLimited := goMemory()
		ofGroups, groupsLimited := cgroupMemory(root)
		if !goLimited && !groupsLimited {
			return nil
		}
		// The percentage is 0 for a kind of limit that is not set.
		return limit.evaluate(ctx, max(ofGo, ofGroups), "% of memory")
	})
}

// goMemory returns the memory that the Go runtime uses, in percent of GOMEMLIMIT. It counts the
// same memory as the runtime does for this limit. limited is false if no limit is set.
func goMemory() (percent float64, limited bool) {
	limit := readMetric("/gc/gomemlimit:bytes").Uint64()
	if limit == math.MaxInt64 || limit == 0 {
		return 0, false
	}
	used := readMetric("/memory/classes/total:bytes").Uint64() - readMetric("/memory/classes/heap/released:bytes").Uint64()
	return 100 * float64(used) / float64(limit), true
}

// cgroupMemory returns the memory in use in percent of a cgroup v2 memory limit. If several groups
// of the process have a limit, it returns the highest percentage. The file
// Documentation/admin-guide/cgroup-v2.rst of Linux describes the files that it reads.
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

// ownGroup returns the cgroup v2 path of this process, such as /system.slice/a.service. It reads
// the path from a line such as 0::/system.slice/a.service in /proc/self/cgroup.
func ownGroup(root fs.FS) (string, bool) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		if group, is := strings.CutPrefix(strings.TrimSpace(line), "0::"); is {
			// In a cgroup namespace the path may begin with "..".
			return path.Clean("/" + group), true
		}
	}
	return "", false
}

func groupMemory(root fs.FS, dir string) (percent float64, limited bool) {
	limit, ok := number(root, dir+"/memory.max")
	if !ok || limit == 0 {
		return 0, false
	}
	used, ok := number(root, dir+"/memory.current")
	if !ok {
		return 0, false
	}
	return 100 * max(0, used-inactiveFile(root, dir)) / limit, true
}

// number reads a file that contains one number. It returns false if the file has other content, such
// as the word "max".
func number(root fs.FS, name string) (float64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return float64(n), err == nil
}

// inactiveFile returns the size, in bytes, of the file cache that the kernel drops first.
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
