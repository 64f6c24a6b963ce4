package check

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"

	"github.com/meshhealth/meshhealth/internal/machine"
)

// tree returns a file system with cgroup v2 files.
func tree(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestCgroupMemory(t *testing.T) {
	const dir = "sys/fs/cgroup"
	for name, c := range map[string]struct {
		files map[string]string
		want  float64
		none  bool
	}{
		"no cgroups": {none: true},
		"version 1":  {files: map[string]string{"proc/self/cgroup": "5:memory:/a\n"}, none: true},
		"no limit": {none: true, files: map[string]string{
			"proc/self/cgroup": "0::/\n", dir + "/memory.max": "max\n", dir + "/memory.current": "10\n",
		}},
		"a container's": {want: 50, files: map[string]string{
			"proc/self/cgroup": "0::/\n", dir + "/memory.max": "1000\n", dir + "/memory.current": "500\n",
		}},
		"file cache that can go": {want: 30, files: map[string]string{
			"proc/self/cgroup": "0::/\n", dir + "/memory.max": "1000\n", dir + "/memory.current": "500\n",
			dir + "/memory.stat": "anon 300\ninactive_file 200\nactive_file 1\n",
		}},
		"the tightest of those around it": {want: 90, files: map[string]string{
			"proc/self/cgroup":                        "1:name=systemd:/x\n0::/a.slice/b.service\n",
			dir + "/a.slice/memory.max":               "1000",
			dir + "/a.slice/memory.current":           "900",
			dir + "/a.slice/b.service/memory.max":     "500",
			dir + "/a.slice/b.service/memory.current": "100",
		}},
		"outside of its namespace": {want: 20, files: map[string]string{
			"proc/self/cgroup": "0::/../../x\n", dir + "/memory.max": "1000\n", dir + "/memory.current": "200\n",
		}},
		"nonsense": {none: true, files: map[string]string{
			"proc/self/cgroup": "0::/\n", dir + "/memory.max": "-5\n", dir + "/memory.current": "much\n",
		}},
	} {
		got, limited := cgroupMemory(tree(c.files))
		if limited == c.none || got != c.want {
			t.Errorf("%s: %v %v, want %v", name, got, limited, c.want)
		}
	}
}

func TestGoMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(math.MaxInt64)
	if used, limited := goMemory(); limited {
		t.Errorf("%v %% of no limit", used)
	}
	debug.SetMemoryLimit(1 << 40)
	if used, limited := goMemory(); !limited || used <= 0 || used > 1 {
		t.Errorf("%v %% of a tebibyte, %v", used, limited)
	}
	// The limit is smaller than the memory in use.
	debug.SetMemoryLimit(1 << 20)
	if err := Memory(AtMost(80, 95))(t.Context()); machine.EvidenceOf(err) != machine.Fail {
		t.Errorf("%v, want a failure", err)
	}
}
