package main

import (
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// style is how a text looks on a terminal. The word beside it always says the
// same, for those who cannot see it.
type style string

// Cyan, yellow and bold red are told apart by most colour-blind people; green
// and red are not.
const (
	plainText style = ""
	good      style = "\x1b[36m"
	warning   style = "\x1b[33m"
	bad       style = "\x1b[1;31m"
	faint     style = "\x1b[2m"
	strong    style = "\x1b[1m"
	reset           = "\x1b[0m"
)

// pen knows what the reader's terminal can show.
type pen struct {
	colour bool
	ascii  bool
}

func (p pen) paint(s style, text string) string {
	if !p.colour || s == plainText || text == "" {
		return text
	}
	return string(s) + text + reset
}

// look is how a status is shown.
type look struct {
	glyph, ascii string
	style        style
}

var looks = map[health.Status]look{
	health.Serving:     {"●", "+", good},
	health.Degraded:    {"▲", "!", warning},
	health.NotServing:  {"✖", "X", bad},
	health.Unknown:     {"?", "?", warning},
	health.Starting:    {"◔", "o", faint},
	health.Draining:    {"▽", "v", faint},
	health.Maintenance: {"■", "#", faint},
}

// status shows a status as glyph and word.
func (p pen) status(s pb.Status) cell {
	if s == pb.Status_STATUS_SERVICE_UNKNOWN {
		return cell{text: "? SERVICE_UNKNOWN", style: warning}
	}
	st, _ := health.StatusFromWire(int32(s))
	l := looks[st]
	glyph := l.glyph
	if p.ascii {
		glyph = l.ascii
	}
	return cell{text: glyph + " " + st.String(), style: l.style}
}

// or returns the fancy text where it can be shown.
func (p pen) or(fancy, plain string) string {
	if p.ascii {
		return plain
	}
	return fancy
}

func (p pen) dots() string { return p.or("…", "...") }

// pen returns what stdout can show. Whoever wants colour in a pipe says so.
func (a *app) pen(mode string) pen {
	colour := mode == "always"
	if mode == "auto" {
		colour = a.columns > 0 && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
	}
	return pen{colour: colour, ascii: a.asciiOnly()}
}

// asciiOnly reports whether the locale rules out anything else. No locale at
// all is what containers have, and says nothing about the terminal.
func (a *app) asciiOnly() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(a.getenv(name)); v != "" {
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return false
}
