package compactjson

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// appendTimestamp appends a time as protojson does, with 0, 3, 6 or 9 digits after the second.
func appendTimestamp(b []byte, t *timestamppb.Timestamp) (all []byte, ok bool) {
	if !t.IsValid() {
		return b, false
	}
	b = append(b, '"')
	b = t.AsTime().AppendFormat(b, time.RFC3339)
	b = appendNanos(b[:len(b)-1], t.GetNanos())
	return append(b, 'Z', '"'), true
}

// appendDuration appends a duration in seconds, with as many digits as appendTimestamp.
func appendDuration(b []byte, d *durationpb.Duration) (all []byte, ok bool) {
	if !d.IsValid() {
		return b, false
	}
	seconds, nanos := d.GetSeconds(), d.GetNanos()
	b = append(b, '"')
	if seconds < 0 || nanos < 0 {
		b, seconds, nanos = append(b, '-'), -seconds, -nanos
	}
	b = appendNanos(strconv.AppendInt(b, seconds, 10), nanos)
	return append(b, 's', '"'), true
}

// appendNanos appends a fraction of a second in nanoseconds: nothing for 0, otherwise a point and 3,
// 6 or 9 digits.
func appendNanos(b []byte, nanos int32) []byte {
	if nanos == 0 {
		return b
	}
	digits := 9
	for ; nanos%1000 == 0; nanos /= 1000 {
		digits -= 3
	}
	b = append(b, ".000000000"[:1+digits]...)
	for i := len(b) - 1; nanos > 0; i, nanos = i-1, nanos/10 {
		b[i] = byte('0' + nanos%10)
	}
	return b
}

// appendFloat appends a number as encoding/json does. Numbers that JSON does not have are texts.
func appendFloat(b []byte, n float64, bits int) []byte {
	switch {
	case math.IsNaN(n):
		return append(b, `"NaN"`...)
	case math.IsInf(n, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(n, -1):
		return append(b, `"-Infinity"`...)
	}
	if size := math.Abs(n); size == 0 || inRange(size, bits) {
		return strconv.AppendFloat(b, n, 'f', -1, bits)
	}
	b = strconv.AppendFloat(b, n, 'e', -1, bits)
	// strconv writes at least two digits of the exponent. JSON has e-7 instead of e-07.
	if end := len(b); b[end-4] == 'e' && b[end-3] == '-' && b[end-2] == '0' {
		b = append(b[:end-2], b[end-1])
	}
	return b
}

// inRange reports whether a number is written without an exponent.
func inRange(size float64, bits int) bool {
	if bits == 32 {
		return float32(size) >= 1e-6 && float32(size) < 1e21
	}
	return size >= 1e-6 && size < 1e21
}

// appendText appends a text in quotes. It escapes only what JSON requires.
func appendText(b []byte, s string) (all []byte, ok bool) {
	b = append(b, '"')
	ascii, done := true, 0 // done is the number of bytes of s that are in b
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			ascii = false
		}
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[done:i]...)
		b = appendEscaped(b, c)
		done = i + 1
	}
	b = append(append(b, s[done:]...), '"')
	return b, ascii || utf8.ValidString(s)
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
