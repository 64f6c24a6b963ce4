package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/health"
)

// scalar reads a single value. What allowed says is the end of every complaint.
func scalar(allowed string, set func(text string, n *yaml.Node) error) reader {
	return func(p *problems, path string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || isNull(n) {
			p.add(n.Line, path, "is %s; allowed: %s", describe(n), allowed)
			return
		}
		if err := set(n.Value, n); err != nil {
			p.add(n.Line, path, "%v; allowed: %s", err, allowed)
		}
	}
}

// text reads any text. Numbers and booleans are refused: YAML has read them,
// and what it made of 1.10 is not what was written.
func text(dst *string, check func(string) error) reader {
	return func(p *problems, path string, n *yaml.Node) {
		switch tag := n.ShortTag(); {
		case n.Kind != yaml.ScalarNode || isNull(n):
			p.add(n.Line, path, "is %s; allowed: a text", describe(n))
		case tag != "!!str":
			p.add(n.Line, path, "%s is not a text; put it in quotes", describe(n))
		case n.Value == "":
			p.add(n.Line, path, "is an empty text; leave it out instead")
		default:
			*dst = n.Value
			if err := check(n.Value); err != nil {
				p.add(n.Line, path, "%v", err)
			}
		}
	}
}

func anyText(string) error { return nil }

// file reads a path, which is relative to the file it stands in.
func file(dst *string, dir string) reader {
	return func(p *problems, path string, n *yaml.Node) {
		text(dst, anyText)(p, path, n)
		if *dst != "" && !filepath.IsAbs(*dst) {
			*dst = filepath.Join(dir, *dst)
		}
	}
}

// boolean reads true or false, and none of the other spellings.
func boolean(dst *bool) reader {
	return scalar("true or false", func(text string, n *yaml.Node) error {
		if n.ShortTag() != "!!bool" {
			return fmt.Errorf("%q is neither", text)
		}
		*dst = strings.EqualFold(text, "true")
		return nil
	})
}

// off is how something is switched off, where it can be.
const off = "off"

var number = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// units is what a duration is made of.
var units = regexp.MustCompile(`^-?([0-9]+(ns|us|µs|ms|s|m|h))+$`)

// duration reads a time of at least so much. Where offAllowed, `off` is -1.
func duration(dst *time.Duration, least time.Duration, offAllowed bool) reader {
	allowed := fmt.Sprintf("a duration such as 15s, 1m30s or 2h, from %s to %s", brief(least), brief(maxDuration))
	if offAllowed {
		allowed += ", or off"
	}
	return scalar(allowed, func(text string, _ *yaml.Node) error {
		if text == off && offAllowed {
			*dst = -1
			return nil
		}
		d, err := time.ParseDuration(text)
		switch {
		case number.MatchString(text) && text != "0":
			return fmt.Errorf("%q has no unit", text)
		case err != nil && units.MatchString(text): // more than fits
			return fmt.Errorf("%s is out of range", text)
		case err != nil:
			return fmt.Errorf("%q is not a duration", text)
		case d == 0:
			return fmt.Errorf("%q has no meaning here", text)
		case d < least || d > maxDuration:
			return fmt.Errorf("%s is out of range", text)
		}
		*dst = d
		return nil
	})
}

// maxDuration bounds every duration, far from where sums would overflow.
const maxDuration = 30 * 24 * time.Hour

// brief is Duration.String without units that are zero.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// count reads a number from 1 to most. Where offAllowed, `off` is -1.
func count(dst *int, most int, offAllowed bool) reader {
	allowed := fmt.Sprintf("a whole number from 1 to %d", most)
	if offAllowed {
		allowed += ", or off"
	}
	return scalar(allowed, func(text string, _ *yaml.Node) error {
		if text == off && offAllowed {
			*dst = -1
			return nil
		}
		n, err := strconv.Atoi(text)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return fmt.Errorf("%s is out of range", text)
		case err != nil:
			return fmt.Errorf("%q is not a whole number", text)
		case n == 0:
			return fmt.Errorf("0 has no meaning here")
		case n < 1 || n > most:
			return fmt.Errorf("%d is out of range", n)
		}
		*dst = n
		return nil
	})
}

// percent reads such as 50%.
func percent(dst *int) reader {
	return scalar("1% to 100%", func(text string, _ *yaml.Node) error {
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

// choice reads one of a few words.
func choice(set func(word string), words ...string) reader {
	return scalar(strings.Join(words, " or "), func(text string, _ *yaml.Node) error {
		for _, word := range words {
			if text == word {
				set(word)
				return nil
			}
		}
		return fmt.Errorf("%q is none of these", text)
	})
}

// rule reads how a service is judged.
func rule(dst *health.Rule) reader {
	return scalar(health.RuleNames, func(text string, _ *yaml.Node) (err error) {
		*dst, err = health.ParseRule(text)
		return err
	})
}

// network reads a CIDR.
func network(dst *netip.Prefix) reader {
	return scalar("a network such as 10.0.0.0/8 or fd00::/8", func(text string, _ *yaml.Node) error {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%q is no network", text)
		}
		if prefix != prefix.Masked() {
			return fmt.Errorf("%q has bits set beyond its length: did you mean %s?", text, prefix.Masked())
		}
		*dst = prefix
		return nil
	})
}
