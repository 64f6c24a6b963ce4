package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// MaxFaults is the largest number of faults that a report describes for a chain.
const MaxFaults = 20

// Noted is the number and the hash of a line that a person has noted. A chain that still has this
// line was neither cut before it nor written anew.
type Noted struct {
	Number uint64 // 0 if nothing was noted
	Hash   Hash
}

// Report is the result of Verify.
type Report struct {
	Chains []ChainReport
}

// Sound reports whether no chain has a fault.
func (r *Report) Sound() bool {
	for i := range r.Chains {
		if r.Chains[i].NumFaults > 0 {
			return false
		}
	}
	return true
}

// ChainReport is what Verify found in one chain.
type ChainReport struct {
	Name     string
	Segments int
	Lines    uint64 // sound lines
	From, To time.Time
	First    uint64 // number of the first sound line; 0 if there is none
	Last     uint64 // number of the last sound line
	LastHash Hash
	// Removed is the number up to which the log itself has removed the oldest lines.
	Removed   uint64
	NumFaults int
	Faults    []Fault // the first MaxFaults faults
	// Unfinished is the place of an incomplete line at the end of the chain. It was not acknowledged,
	// or it is being written now. It is no fault. Its File is empty if there is none.
	Unfinished Fault
	// Compared is true if the chain has the line that was noted. Gone is true if it cannot be
	// compared, because it is older than the first line.
	Compared, Gone bool
}

// Fault is a place where a chain is not as the log has written it.
type Fault struct {
	File string
	Line int    // number of the line in the file, from 1; 0 for the whole file
	What string // the rest of a sentence that begins with the line
}

// String returns the fault as a sentence.
func (f Fault) String() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s %s", f.File, f.What)
	}
	return fmt.Sprintf("%s:%d: the line %s", f.File, f.Line, f.What)
}

// Verify checks a log. The path is the folder of the log, or one segment, which is then checked alone.
// The line that was noted is one of the accepted writes, or one of the segment. Verify changes nothing,
// and may run while a coordinator writes.
func Verify(path string, noted Noted) (*Report, error) {
	chains, err := find(path)
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, fmt.Errorf("%s: has no audit log; give the folder of one, such as DATA_DIR/%s", path, Folder)
	}
	r := &Report{}
	alone := chains[0][0].path == path
	if !alone && chains[0][0].chain != Writes {
		what := "has refusals and no accepted writes: their files were removed, because a log begins with a line about its start"
		r.Chains = []ChainReport{{Name: Writes, NumFaults: 1, Faults: []Fault{{File: path, What: what}}}}
	}
	for _, segments := range chains {
		v := &verifier{follower: follower{any: true}, alone: alone}
		if alone || segments[0].chain == Writes {
			v.noted = noted
		}
		r.Chains = append(r.Chains, v.verify(segments))
	}
	return r, nil
}

// Folder is the name of the folder of the log in the data folder of a coordinator.
const Folder = "audit"

// find lists the segments at a path, for each chain that has some. The path may also be the folder
// that has the folder of the log.
func find(path string) (chains [][]segment, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		s, is := asSegment(path)
		if !is {
			return nil, fmt.Errorf("%s: is no file of an audit log; allowed: a name such as %s-000001.jsonl", path, Writes)
		}
		return [][]segment{{s}}, nil
	}
	for _, dir := range []string{path, filepath.Join(path, Folder)} {
		for _, name := range chainNames {
			segments, err := segmentsIn(dir, name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if len(segments) > 0 {
				chains = append(chains, segments)
			}
		}
		if len(chains) > 0 {
			break
		}
	}
	return chains, nil
}

// verifier checks one chain.
type verifier struct {
	follower
	report ChainReport
	noted  Noted
	before uint64 // number of damaged lines before the first sound one
	alone  bool   // only one segment of the chain is checked
}

func (v *verifier) verify(segments []segment) ChainReport {
	v.report.Name, v.report.Segments = segments[0].chain, len(segments)
	for i := range segments {
		newest := i == len(segments)-1
		err := segments[i].scan(func(s *scanned) bool {
			v.add(segments[i].path, s, newest)
			return true
		})
		switch {
		case errors.Is(err, fs.ErrNotExist) && v.report.First == 0: // the log has just removed it
		case err != nil:
			v.fault(segments[i].path, 0, "cannot be read: "+err.Error())
		}
	}
	v.checkFront(segments[0].path)
	v.checkNoted(segments[len(segments)-1].path)
	return v.report
}

// add checks the next line.
func (v *verifier) add(path string, s *scanned, newest bool) {
	if !s.whole {
		v.addRest(path, s, newest)
		return
	}
	l, err := v.accept(s.text)
	if err != nil {
		v.fault(path, s.number, err.Error())
	}
	r := &v.report
	if l.Number == 0 {
		if r.First == 0 {
			v.before++
		}
		return
	}
	if r.First == 0 {
		r.First, r.From = l.Number, l.Time
	}
	r.Lines++
	r.Last, r.LastHash, r.To = l.Number, l.Hash, l.Time
	if l.Kind == Removed {
		r.Removed = max(r.Removed, l.Count)
	}
	if l.Number == v.noted.Number {
		v.compare(path, s.number, l.Hash)
	}
}

// addRest judges a text without a line end at the end of a segment.
func (v *verifier) addRest(path string, s *scanned, newest bool) {
	switch {
	case !torn(s.text):
		v.fault(path, s.number, "was changed: its line end is not there")
	case newest:
		v.report.Unfinished = Fault{path, s.number, "is not complete: it was not acknowledged, or it is being written"}
	default:
		v.fault(path, s.number, "is not complete, and the log continues in another file: something was removed")
	}
}

func (v *verifier) compare(path string, line int, hash Hash) {
	if v.report.Compared = hash == v.noted.Hash; !v.report.Compared {
		v.fault(path, line, fmt.Sprintf("has the number %d and another hash than the noted one: the chain was written anew", v.noted.Number))
	}
}

// checkFront checks that the log itself has removed what is missing before the first line.
func (v *verifier) checkFront(path string) {
	r := &v.report
	if v.alone || r.First == 0 || r.Removed+v.before >= r.First-1 {
		return
	}
	v.fault(path, 1, fmt.Sprintf("has the number %d: the lines before it were removed, and no line says that the log has done that", r.First))
}

// checkNoted checks that the chain reaches the line that was noted.
func (v *verifier) checkNoted(path string) {
	r := &v.report
	switch n := v.noted.Number; {
	case n == 0 || r.Compared:
	case n > r.Last:
		v.fault(path, 0, fmt.Sprintf("ends with the line %d, and the line %d was noted: the lines after %d were removed", r.Last, n, r.Last))
	case n < r.First:
		r.Gone = true
	case r.NumFaults == 0: // a damaged line is a fault already
		v.fault(path, 0, fmt.Sprintf("has no line %d", n))
	}
}

func (v *verifier) fault(path string, line int, what string) {
	v.report.NumFaults++
	if len(v.report.Faults) < MaxFaults {
		v.report.Faults = append(v.report.Faults, Fault{path, line, what})
	}
}
