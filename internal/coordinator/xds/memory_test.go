package xds

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/internal/wire"
)

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestMemoryIsCounted checks that what clients ask for needs no more memory than the server counts,
// whatever the names are.
func TestMemoryIsCounted(t *testing.T) {
	for _, c := range []struct {
		name    string
		prefix  string
		clients int
		shared  bool // all clients ask for the same names
	}{
		{"names of no service", strings.Repeat("x", wire.MaxName), 1, false},
		{"the longest names", strings.Repeat("x", maxResourceName-8), 1, false},
		{"the longest names of an authority", xdstp + strings.Repeat("x", 700) + "/" + messageNames[endpointSets] + "/s", 1, false},
		{"escaped names", xdstp + "/" + messageNames[endpointSets] + "/%61" + strings.Repeat("a", 200), 1, false},
		{"names of services", "s", 1, false},
		{"names that clients share", "s", 30, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(Config{})
			s.warmUp()
			before := heap()
			for i := range c.clients {
				client := newSilentClient(t, s)
				prefix := c.prefix
				if !c.shared {
					prefix += fmt.Sprint(i)
				}
				for range 3 { // with three responses in flight
					if err := client.ask(manyNames(prefix, 5000), nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			used, counted, n := heap()-before, s.catalog.bytes, s.catalog.subscribed
			t.Logf("%d bytes for each name, counted as %d", used/n, counted/n)
			if used > counted || counted > 3*used {
				t.Errorf("%d bytes are used, and %d are counted; want no less, and at most 3 times", used, counted)
			}
			for _, st := range s.streams {
				s.close(st)
			}
			if s.catalog.bytes != 0 {
				t.Errorf("%d bytes are counted after the end of all streams, want 0", s.catalog.bytes)
			}
			runtime.KeepAlive(s)
		})
	}
}
