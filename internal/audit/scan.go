package audit

import (
	"bufio"
	"errors"
	"io"
)

// scanned is one line of a segment.
type scanned struct {
	number int    // number of the line in its file, from 1
	text   []byte // the line without its line end; valid until the next line is read
	end    int64  // offset behind the line end
	whole  bool   // the line has a line end
}

// scan calls f for each line of a segment, until f returns false. Of a line that is too long, f gets
// the beginning.
func scan(from io.Reader, f func(*scanned) bool) error {
	r := bufio.NewReaderSize(from, maxLine)
	var s scanned
	for {
		text, err := r.ReadSlice('\n')
		if len(text) == 0 && err != nil {
			return ignoreEnd(err)
		}
		s.number++
		s.end += int64(len(text))
		s.text, s.whole = text, err == nil
		if errors.Is(err, bufio.ErrBufferFull) {
			s.text = append([]byte(nil), text...)
			s.whole, err = skip(r, &s.end)
		} else if s.whole {
			s.text = text[:len(text)-1]
		}
		if err := ignoreEnd(err); err != nil {
			return err
		}
		if !f(&s) {
			return nil
		}
	}
}

// skip reads the rest of a line that is too long, and adds its length to end. It reports whether the
// line has a line end.
func skip(r *bufio.Reader, end *int64) (whole bool, err error) {
	for {
		text, err := r.ReadSlice('\n')
		*end += int64(len(text))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err == nil, err
		}
	}
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// torn reports whether a text without a line end can be the beginning of a line that was not written
// completely. The log writes nothing between a line and its line end.
func torn(text []byte) bool {
	if len(text) >= maxLine {
		return false
	}
	for n := max(0, len(text)-2); n < len(text); n++ {
		if _, err := parseLine(text[:n]); err == nil {
			return false
		}
	}
	return true
}
