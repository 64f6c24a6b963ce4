package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// Kind says what a line is about.
type Kind string

// The kinds.
const (
	// Write is a write that the rules allow. Its effect follows the line.
	Write Kind = "write"
	// Refused is a request that was refused.
	Refused Kind = "refused"
	// Dropped says how many refusals were not written, because there were too many.
	Dropped Kind = "dropped"
	// Policy is a change of the access policy.
	Policy Kind = "policy"
	// Start is the start of a coordinator, or of a segment after a damaged one.
	Start Kind = "start"
	// Removed says up to which line the log has removed its oldest lines to respect its bound.
	Removed Kind = "removed"
)

// Source says how a caller has proved its identity.
type Source string

// The sources.
const (
	Certificate Source = "certificate" // a verified TLS certificate
	Token       Source = "token"       // a bearer token
	Socket      Source = "socket"      // the credentials of the peer of a Unix socket
	Anonymous   Source = "anonymous"   // nothing; only the address of the peer is known
	Coordinator Source = "coordinator" // the coordinator itself has written the line
)

// Outcome says what was decided about a request, or what came of it.
type Outcome string

// The outcomes.
const (
	Accepted        Outcome = "accepted"        // a rule allows the request, and its effect follows
	Failed          Outcome = "failed"          // the effect of an accepted request has failed
	Denied          Outcome = "denied"          // no rule allows the request
	Unauthenticated Outcome = "unauthenticated" // the caller has not proved who it is
	Invalid         Outcome = "invalid"         // the request is not valid
	Limited         Outcome = "limited"         // a limit was reached
	Done            Outcome = "done"            // the coordinator itself has done it
)

var (
	kinds    = []Kind{Write, Refused, Dropped, Policy, Start, Removed}
	sources  = []Source{Certificate, Token, Socket, Anonymous, Coordinator}
	outcomes = []Outcome{Accepted, Failed, Denied, Unauthenticated, Invalid, Limited, Done}
)

// NoRule is the rule of a line that no rule has allowed.
const NoRule = "none"

// Record is the content of a line. The log cleans and shortens the texts.
type Record struct {
	Kind     Kind
	Identity string // who the caller is; empty if unknown
	Source   Source
	Peer     string // address of the caller; empty for the coordinator itself
	Verb     string // what the caller wants to do, such as "override"
	Object   string // name or scope
	Detail   string // what was changed, such as a status with its reason and end
	Rule     string // name of the rule that has allowed the request; empty means NoRule
	Outcome  Outcome
	Request  string // ID of the request
	// Count is the number of refusals of a line of the kind Dropped. For the kind Removed it is the
	// number of the last line that was removed. Otherwise it is 0.
	Count uint64
}

// The largest numbers of bytes of the texts in a line, as JSON writes them. With them a line has
// less than maxLine bytes.
const (
	maxIdentity = 512
	maxPeer     = 96
	maxVerb     = 32
	maxObject   = 1100
	maxDetail   = 1024
	maxRule     = 128
	maxRequest  = 128
)

// check returns an error if a closed set does not have a value of the record.
func (r *Record) check() error {
	switch {
	case !slices.Contains(kinds, r.Kind):
		return fmt.Errorf("kind: is %q; allowed: %s", r.Kind, joined(kinds))
	case !slices.Contains(sources, r.Source):
		return fmt.Errorf("source: is %q; allowed: %s", r.Source, joined(sources))
	case !slices.Contains(outcomes, r.Outcome):
		return fmt.Errorf("outcome: is %q; allowed: %s", r.Outcome, joined(outcomes))
	}
	return nil
}

func joined[T ~string](all []T) string {
	texts := make([]string, len(all))
	for i, one := range all {
		texts[i] = string(one)
	}
	return strings.Join(texts, ", ")
}

// cleaned returns the record with the texts that its line has.
func (r Record) cleaned() Record {
	for _, text := range r.texts() {
		*text.value = fit(*text.value, text.limit)
	}
	if r.Rule == "" {
		r.Rule = NoRule
	}
	return r
}

// limitedText is a text of a record with its bound in bytes.
type limitedText struct {
	field string
	value *string
	limit int
}

func (r *Record) texts() []limitedText {
	return []limitedText{
		{"identity", &r.Identity, maxIdentity},
		{"peer", &r.Peer, maxPeer},
		{"verb", &r.Verb, maxVerb},
		{"object", &r.Object, maxObject},
		{"detail", &r.Detail, maxDetail},
		{"rule", &r.Rule, maxRule},
		{"request", &r.Request, maxRequest},
	}
}

// digest is the number of bytes of a hash that stand for the end of a text.
const digest = 8

// fit cleans a text. If JSON then needs more than limit bytes for it, fit cuts the text and adds a
// hash of the whole. So two long identities with the same beginning stay different.
func fit(text string, limit int) string {
	clean := wire.CleanTo(text, limit)
	if escapedLen(clean) <= limit && len(text) <= limit {
		return clean
	}
	sum := sha256.Sum256([]byte(text))
	end := "…#" + hex.EncodeToString(sum[:digest])
	clean = wire.CleanTo(text, len(text)+limit) // only cleaned: the result may be longer than the text
	room := limit - len(end)
	for i, r := range clean {
		if room -= escapedLen(string(r)); room < 0 {
			return clean[:i] + end
		}
	}
	return clean
}

// escapedLen returns the number of bytes that JSON needs for a clean text.
func escapedLen(clean string) int {
	return len(clean) + strings.Count(clean, `"`) + strings.Count(clean, `\`)
}
