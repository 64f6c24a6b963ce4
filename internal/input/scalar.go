package input

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// off is the word that switches a setting off, if the setting allows this word.
const off = "off"

// Scalar returns a Reader of a single value. It calls set with the text of the value. The text
// allowed describes the allowed values, and is the end of each error text.
func Scalar(allowed string, set func(text string, n *yaml.Node) error) Reader {
	return func(p *Problems, path string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || IsNull(n) {
			p.Add(n.Line, path, "is %s; allowed: %s", Describe(n), allowed)
			return
		}
		if err := set(n.Value, n); err != nil {
			p.Add(n.Line, path, "%v; allowed: %s", err, allowed)
		}
	}
}

// Text returns a Reader of a text. It refuses a number or a boolean without quotes, because YAML
// would change it: 1.10 becomes the number 1.1.
func Text(dst *string, check func(string) error) Reader {
	return func(p *Problems, path string, n *yaml.Node) {
		switch tag := n.ShortTag(); {
		case n.Kind != yaml.ScalarNode || IsNull(n):
			p.Add(n.Line, path, "is %s; allowed: a text", Describe(n))
		case tag != "!!str":
			p.Add(n.Line, path, "%s is not a text; put it in quotes", Describe(n))
		case n.Value == "":
			p.Add(n.Line, path, "is an empty text; leave it out instead")
		default:
			*dst = n.Value
			if err := check(n.Value); err != nil {
				p.Add(n.Line, path, "%v", err)
			}
		}
	}
}

// AnyText accepts every text. It is used where a function that checks a text is required.
func AnyText(string) error { return nil }

// Path returns a Reader of a file path. A relative path is relative to dir.
func Path(dst *string, dir string) Reader {
	return func(p *Problems, path string, n *yaml.Node) {
		Text(dst, CheckPath)(p, path, n)
		if *dst != "" && !filepath.IsAbs(*dst) {
			*dst = filepath.Join(dir, *dst)
		}
	}
}

// Labels returns a Reader of a mapping from label names to values.
func Labels(dst *map[string]string) Reader {
	return ByName(AnyText, func(name string) Reader {
		return func(p *Problems, path string, n *yaml.Node) {
			var value string
			Text(&value, func(v string) error { return wire.CheckLabels(map[string]string{name: v}) })(p, path, n)
			if *dst == nil {
				*dst = map[string]string{}
			}
			(*dst)[name] = value
		}
	})
}

// Boolean returns a Reader of true or false. It refuses other words that mean the same in older
// versions of YAML, such as yes.
func Boolean(dst *bool) Reader {
	return Scalar("true or false", func(text string, n *yaml.Node) error {
		if n.ShortTag() != "!!bool" {
			return fmt.Errorf("%q is neither", text)
		}
		*dst = strings.EqualFold(text, "true")
		return nil
	})
}

var (
	plainNumber   = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	durationUnits = regexp.MustCompile(`^-?([0-9]+(ns|us|µs|ms|s|m|h))+$`)
)

// Duration returns a Reader of a duration from minimum to health.MaxDuration. If offAllowed is true,
// the word "off" is also allowed and is read as -1.
func Duration(dst *time.Duration, minimum time.Duration, offAllowed bool) Reader {
	allowed := fmt.Sprintf("a duration such as 15s, 1m30s or 2h, from %s to %s",
		FormatDuration(minimum), FormatDuration(health.MaxDuration))
	if offAllowed {
		allowed += ", or off"
	}
	return Scalar(allowed, func(text string, _ *yaml.Node) (err error) {
		if text == off && offAllowed {
			*dst = -1
			return nil
		}
		*dst, err = parseDuration(text, minimum)
		return err
	})
}

func parseDuration(text string, minimum time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case plainNumber.MatchString(text) && text != "0":
		return 0, fmt.Errorf("%q has no unit", text)
	case err != nil && durationUnits.MatchString(text): // the value is too large for a time.Duration
		return 0, fmt.Errorf("%s is out of range", text)
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration", text)
	case d == 0:
		return 0, fmt.Errorf("%q has no meaning here", text)
	case d < minimum || d > health.MaxDuration:
		return 0, fmt.Errorf("%s is out of range", text)
	}
	return d, nil
}

// FormatDuration returns d like Duration.String, but without the zeros at the end. For example it
// returns 2h and not 2h0m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Count returns a Reader of a whole number from 1 to maximum. If offAllowed is true, the word "off"
// is also allowed and is read as -1.
func Count(dst *int, maximum int, offAllowed bool) Reader {
	allowed := fmt.Sprintf("a whole number from 1 to %d", maximum)
	if offAllowed {
		allowed += ", or off"
	}
	return Scalar(allowed, func(text string, _ *yaml.Node) (err error) {
		if text == off && offAllowed {
			*dst = -1
			return nil
		}
		*dst, err = parseCount(text, maximum)
		return err
	})
}

func parseCount(text string, maximum int) (int, error) {
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is out of range", text)
	case err != nil:
		return 0, fmt.Errorf("%q is not a whole number", text)
	case n == 0:
		return 0, errors.New("0 has no meaning here")
	case n < 1 || n > maximum:
		return 0, fmt.Errorf("%d is out of range", n)
	}
	return n, nil
}

// Percent returns a Reader of a percentage such as 50%, from 1% to 100%.
func Percent(dst *int) Reader {
	return Scalar("1% to 100%", func(text string, _ *yaml.Node) error {
		digits, ok := strings.CutSuffix(text, "%")
		if !ok {
			return fmt.Errorf("%q has no %% at its end", text)
		}
		n, err := strconv.Atoi(digits)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a whole number of percent", text)
		case n < 1 || n > 100:
			return fmt.Errorf("%q is out of range", text)
		}
		*dst = n
		return nil
	})
}

// Choice returns a Reader of one of the given words. It calls set with this word.
func Choice(set func(word string), words ...string) Reader {
	return Scalar(strings.Join(words, " or "), func(text string, _ *yaml.Node) error {
		for _, word := range words {
			if text == word {
				set(word)
				return nil
			}
		}
		return fmt.Errorf("%q is none of these", text)
	})
}
