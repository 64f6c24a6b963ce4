//go:build e2e || soak

package storefaults

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
)

// sector is the number of bytes that a disk writes completely or not at all.
const sector = 512

// disk simulates a file system. Data is safe after a sync. For each sector that was written
// since, a power cut may leave any version. The next sync does not repeat a sync that has
// failed: Linux treats the pages as written, and retries only pages that are written again.
type disk struct {
	safe    []byte
	maybe   map[int][][]byte // by number of the sector; the newest version is last
	waiting map[int]bool     // sectors that the next sync writes
}

func newDisk(image []byte) *disk {
	return &disk{safe: bytes.Clone(image), maybe: map[int][][]byte{}, waiting: map[int]bool{}}
}

func (d *disk) write(data []byte, at int) {
	d.grow(at + len(data))
	for ; len(data) > 0; data, at = data[sector:], at+sector {
		n := at / sector
		d.maybe[n] = append(d.maybe[n], data[:sector])
		d.waiting[n] = true
	}
}

func (d *disk) grow(size int) {
	if size > len(d.safe) {
		d.safe = append(d.safe, make([]byte, size-len(d.safe))...)
	}
}

func (d *disk) sync(works bool) {
	for n := range d.waiting {
		if works {
			versions := d.maybe[n]
			copy(d.safe[n*sector:], versions[len(versions)-1])
			delete(d.maybe, n)
		}
	}
	clear(d.waiting)
}

// cut returns an image that a power cut may leave. pick chooses one of so many versions of
// a sector. Version 0 is the safe one.
func (d *disk) cut(pick func(versions int) int) []byte {
	image := bytes.Clone(d.safe)
	for n := range len(image) / sector { // in order, so that a seed always gives the same image
		if versions := d.maybe[n]; len(versions) > 0 {
			if i := pick(len(versions) + 1); i > 0 {
				copy(image[n*sector:], versions[i-1])
			}
		}
	}
	return image
}

// picks returns functions for cut: one leaves only safe data, one leaves all data, and
// byChance leave random versions.
func picks(seed uint64, byChance int) []func(int) int {
	all := []func(int) int{
		func(int) int { return 0 },
		func(n int) int { return n - 1 },
	}
	for i := range byChance {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		all = append(all, r.IntN)
	}
	return all
}

// event is one system call of the main thread of a child.
type event struct {
	call     string
	data     []byte
	at       int
	works    bool
	injected bool
	said     string
}

var callLine = regexp.MustCompile(`^(\w+)\((\d+)(?:, (?:"([^"]*)"|(\d+)))?(?:, (\d+)(?:, (\d+))?)?\)\s+= (-?\d+)(.*)$`)

// events reads the output of strace.
func events(path string) ([]event, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []event
	s := bufio.NewScanner(bytes.NewReader(text))
	s.Buffer(nil, len(text)+1)
	for s.Scan() {
		m := callLine.FindStringSubmatch(s.Text())
		if m == nil {
			continue // a signal, or the end of the process
		}
		e := event{call: m[1], works: m[7] != "-1", injected: strings.Contains(m[8], "INJECTED")}
		if e.data, err = hex.DecodeString(strings.ReplaceAll(m[3], `\x`, "")); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Text()[:60], err)
		}
		_, _ = fmt.Sscan(m[4]+m[6], &e.at) // the offset of a write, or the new size of the file
		if e.call == "write" && m[2] == "1" {
			e.said = strings.TrimSpace(string(e.data))
		}
		all = append(all, e)
	}
	return all, s.Err()
}

// apply repeats the event on d.
func (d *disk) apply(e *event) {
	switch e.call {
	case "pwrite64":
		if e.works {
			d.write(e.data, e.at)
		}
	case "ftruncate":
		if e.works {
			d.grow(e.at)
		}
	case "fdatasync", "fsync":
		d.sync(e.works)
	}
}
