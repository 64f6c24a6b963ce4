package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/meshhealth/meshhealth/health"
)

func authorOr(author string) string {
	if author == "" {
		return "An unknown person"
	}
	return author
}

// joined joins two texts with a colon. One of them may be empty.
func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ": " + b
}

// namesOf returns the names of the members for which the function include returns true, at most
// maxNamed of them.
func namesOf(members []health.State, include func(*health.State) bool) string {
	var names []string
	for i := range members {
		if m := &members[i]; include(m) {
			name := m.ID.String()
			if m.Cause != health.CauseNone && m.Cause != m.Status.Cause() {
				name += " (" + m.Cause.String() + ")"
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// statusWithCause returns a status, with its cause if the status does not say it.
func statusWithCause(s health.Status, c health.Cause) string {
	if c == health.CauseNone || c == s.Cause() {
		return s.String()
	}
	return s.String() + " (" + c.String() + ")"
}

// capital returns a text with an upper-case first letter, if it begins with a word. The address of an
// instance stays as it is.
func capital(text string) string {
	for _, word := range []string{"it", "its", "no", "of", "this", "the", "another", "if", "routing"} {
		if strings.HasPrefix(text, word+" ") {
			r, n := utf8.DecodeRuneInString(text)
			return string(unicode.ToUpper(r)) + text[n:]
		}
	}
	return text
}

// brief returns a duration as text, rounded to seconds.
func brief(d time.Duration) string {
	d = max(0, d).Round(time.Second)
	text := d.String()
	if d >= time.Minute && strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= time.Hour && strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// causeWords has the words for each cause. The words are empty if they would only repeat the
// status.
var causeWords = [health.NumCauses]string{
	health.CauseTimeout:         "a check did not answer in time",
	health.CausePanic:           "a check panicked",
	health.CauseStale:           "the last evidence is too old",
	health.CauseBlocked:         "a check or a service that it depends on fails",
	health.CauseRefused:         "it refuses connections at its address",
	health.CauseUnreachable:     "it could not be reached for too long",
	health.CauseTLS:             "the TLS handshake fails, which only a change of configuration can repair",
	health.CauseUnauthenticated: "it does not accept our identity",
	health.CauseUnimplemented:   "it serves no known health protocol",
	health.CauseUnknownName:     "it does not know its health name",
	health.CauseLeaseExpired:    "its lease was not renewed",
	health.CauseFlapping:        "its status changes too often, so its worst status is kept until it is quiet",
	health.CauseGuarded:         "half of the mesh or of its zone cannot be reached, so silence lowers no status",
	health.CauseUnconfirmed:     "nothing reliable is known since the start",
	health.CauseStarting:        "there is no evidence yet",
	health.CauseQuota:           "it has no room for the coordinator's calls",
	health.CauseMalformed:       "its answers are not valid",
}

func wordsOf(c health.Cause) string {
	if c >= health.NumCauses {
		return ""
	}
	return causeWords[c]
}
