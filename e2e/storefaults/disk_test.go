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

// sector is what a disk writes wholly or not at all.
const sector = 512

// disk is what a file system makes of writes and syncs: what was synced is
// safe; of each sector written since, any version may be left by a power cut.
// A sync that failed is not made up for by the next one: Linux takes the pages
// for written, and only what is written anew is tried again.
type disk struct {
	safe    []byte
	maybe   map[int][][]byte // by number of the sector, the newest last
	waiting map[int]bool     // those the next sync writes
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

// cut returns what a power cut may leave; pick returns which of so many
// versions of a sector, 0 being the safe one.
func (d *disk) cut(pick func(versions int) int) []byte {
	image := bytes.Clone(d.safe)
	for n := range len(image) / sector { // in order, so that a seed means the same again
		if versions := d.maybe[n]; len(versions) > 0 {
			if i := pick(len(versions) + 1); i > 0 {
				copy(image[n*sector:], versions[i-1])
			}
		}
	}
	return image
}

// picks are the cuts that are looked at: nothing that was not synced, all of
// it, and some by chance.
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

// event is one call of the child's main thread.
type event struct {
	call     string
	data     []byte
	at       int
	works    bool
	injected bool
	said     string
}

var callLine = regexp.MustCompile(`^(\w+)\((\d+)(?:, (?:"([^"]*)"|(\d+)))?(?:, (\d+)(?:, (\d+))?)?\)\s+= (-?\d+)(.*)$`)

// events reads what strace has written down.
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
			continue // signals, the end
		}
		e := event{call: m[1], works: m[7] != "-1", injected: strings.Contains(m[8], "INJECTED")}
		if e.data, err = hex.DecodeString(strings.ReplaceAll(m[3], `\x`, "")); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Text()[:60], err)
		}
		_, _ = fmt.Sscan(m[4]+m[6], &e.at) // where it writes, or how long the file is to be
		if e.call == "write" && m[2] == "1" {
			e.said = strings.TrimSpace(string(e.data))
		}
		all = append(all, e)
	}
	return all, s.Err()
}

// apply does what the event did.
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
