package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// level is the result of a step. Its number is the exit code.
type level int

const (
	levelSkipped level = -1
	levelOK      level = 0
	levelWarning level = 1
	levelFailed  level = 2
)

// diagnosis is the result of one step, or one of several results.
type diagnosis struct {
	step  string
	level level
	// topic names the section of docs/operations.md about a finding. It is empty if the step is
	// well.
	topic  string
	text   string
	action string // what to do about a finding
}

// doctorPage is the file with a section for each topic.
const doctorPage = "docs/operations.md"

// anchor returns the address of the section about a finding.
func (d *diagnosis) anchor() string {
	if d.topic == "" {
		return ""
	}
	return doctorPage + "#doctor-" + d.topic
}

// The limits above which the doctor gives a warning.
const (
	soonExpired    = 14 * 24 * time.Hour
	clocksApart    = 2 * time.Second
	leastOfPolls   = 0.95
	maxNamedInText = 3
)

// doctor collects the results of all steps.
type doctor struct {
	*facts
	found []diagnosis
}

// diagnose judges the facts. The results are in the order of the steps.
func diagnose(f *facts) []diagnosis {
	d := &doctor{facts: f}
	for _, step := range []func() bool{d.reach, d.tls, d.answers} {
		if !step() {
			return d.found
		}
	}
	d.clocks()
	d.access()
	d.registered()
	d.followed()
	d.own()
	return d.found
}

// worstLevel returns the worst level, which is the exit code. Skipped steps do not count.
func worstLevel(found []diagnosis) level {
	worst := levelOK
	for _, d := range found {
		worst = max(worst, d.level)
	}
	return worst
}

func (d *doctor) ok(step, format string, args ...any) {
	d.found = append(d.found, diagnosis{step: step, text: fmt.Sprintf(format, args...)})
}

func (d *doctor) skip(step, why string) {
	d.found = append(d.found, diagnosis{step: step, level: levelSkipped, text: why})
}

func (d *doctor) warn(step, topic, action, format string, args ...any) {
	d.found = append(d.found, diagnosis{step, levelWarning, topic, fmt.Sprintf(format, args...), action})
}

func (d *doctor) fail(step, topic, action, format string, args ...any) {
	d.found = append(d.found, diagnosis{step, levelFailed, topic, fmt.Sprintf(format, args...), action})
}

// reach says whether a TCP connection to the coordinator is possible.
func (d *doctor) reach() bool {
	if d.connectErr != nil {
		d.fail("address", "address", "Start `meshhealth coordinator` there, or name another with --coordinator HOST:PORT.",
			"%s cannot be reached: %v", d.address, d.connectErr)
		return false
	}
	d.ok("address", "%s connects in %v", d.address, brief(d.connectTook))
	return true
}

// tls says whether the connection is encrypted as it should be.
func (d *doctor) tls() bool {
	if d.callErr != nil && (d.callCode == codes.Unavailable || d.callCode == codes.DeadlineExceeded) {
		d.fail("tls", "tls", hintOf(d.callErr, "Use the TLS flags that the coordinator wants."), "%v", d.callErr)
		return false
	}
	switch {
	case d.plaintext && !d.loopback:
		d.warn("tls", "plaintext", "Give the coordinator a certificate (--tls-cert), and use --tls-ca instead of --insecure.",
			"plaintext to another machine: everybody on the way can read and change it")
	case d.certificate == nil:
		d.ok("tls", "plaintext, on loopback")
	default:
		d.certificates()
	}
	return true
}

func (d *doctor) certificates() {
	left := d.certificate.NotAfter.Sub(d.now)
	own := d.ownExpires.Sub(d.now)
	switch {
	case left <= soonExpired:
		d.warn("tls", "certificate", "Issue a new certificate. The coordinator reads the new files by itself.",
			"the certificate of the coordinator expires in %s", age(left))
	case !d.ownExpires.IsZero() && own <= soonExpired:
		d.warn("tls", "certificate", "Issue a new certificate for --tls-cert: `meshhealth cert issue operator NAME`, or your authority.",
			"the certificate of this caller expires in %s", age(own))
	default:
		d.ok("tls", "the certificate is valid for %s", age(left))
	}
}

// answers says whether the server is a coordinator.
func (d *doctor) answers() bool {
	const action = "Use the gRPC address of `meshhealth coordinator`, which is 127.0.0.1:7070 by default."
	switch {
	case d.callCode == codes.Unimplemented:
		d.fail("coordinator", "no-coordinator", action, "%s is a gRPC server, but no coordinator: it does not serve meshhealth.v1", d.address)
		return false
	case d.callErr != nil:
		d.fail("coordinator", "no-answer", hintOf(d.callErr, "Try again, and read the log of the coordinator."), "%v", d.callErr)
		return false
	case d.stateCode == codes.Unimplemented:
		d.fail("coordinator", "no-coordinator", action, "%s is a service with the library, but no coordinator", d.address)
		return false
	case d.state == nil && !isRefusal(d.stateCode):
		d.fail("coordinator", "no-answer", "Try again with a longer --timeout, and read the log of the coordinator.",
			"%s is a coordinator, but did not tell its state: %s", d.address, d.stateCode)
	case d.state == nil:
		d.ok("coordinator", "%s is a coordinator", d.address)
	default:
		d.ok("coordinator", "meshhealth %s, up for %s", cmp.Or(d.state.GetBuild(), "of an unknown version"), age(d.state.GetUptime().AsDuration()))
	}
	return true
}

// clocks compares the two clocks. The answer of the coordinator may have taken long, which bounds
// what can be said.
func (d *doctor) clocks() {
	off := max(d.clock, -d.clock)
	switch {
	case d.clockBound == 0:
		d.skip("clock", "the coordinator did not say what time it is")
	case off-d.clockBound > clocksApart:
		word := "ahead of"
		if d.clock < 0 {
			word = "behind"
		}
		d.warn("clock", "clock", "Run a time service such as chrony on both machines.",
			"the clock of the coordinator is %s %s the clock here (error at most %s)", brief(off), word, brief(d.clockBound))
	default:
		d.ok("clock", "differs by at most %s", brief(off+d.clockBound))
	}
}

// notTold says why steps were skipped that need the state of the coordinator.
const notTold = "not checked: the coordinator did not tell its state"

// access says which rights the caller lacks.
func (d *doctor) access() {
	if d.state == nil && !isRefusal(d.stateCode) {
		d.skip("access", notTold)
		return
	}
	var lacks []string
	if isRefusal(d.stateCode) {
		lacks = append(lacks, "history, explanations and the state of the coordinator")
	}
	if isRefusal(d.locate) {
		lacks = append(lacks, "reasons and addresses")
	}
	if len(lacks) > 0 {
		d.warn("access", "access", "Show a client certificate that the coordinator trusts: --tls-cert and --tls-key.",
			"this caller may not read %s", strings.Join(lacks, ", nor "))
		return
	}
	d.ok("access", "this caller may read everything")
}

func isRefusal(c codes.Code) bool { return c == codes.PermissionDenied || c == codes.Unauthenticated }

// registered says what there is to examine.
func (d *doctor) registered() {
	switch {
	case d.listErr != nil:
		d.fail("registered", "no-answer", hintOf(d.listErr, "Try again with a longer --timeout."), "%v", d.listErr)
	case len(d.instances) > 0:
		d.ok("registered", "%s, %s", plural(d.services, "service"), plural(len(d.instances), "instance"))
	case d.name != "":
		d.fail("registered", "not-registered", "Compare the name with `meshhealth status --all`, and read the log of the process.", "%s is not registered", d.name)
	default:
		d.warn("registered", "nothing-registered", "Register a service with the client library, or by hand: meshhealth register SERVICE/INSTANCE --address HOST:PORT",
			"nothing is registered")
	}
}

// hintOf returns the hint of an error for the user, or another text if it has none.
func hintOf(err error, other string) string {
	if e, ok := errors.AsType[*hintedError](err); ok {
		return e.hint
	}
	return other
}

// brief returns a duration with two or three digits, such as 0.35ms or 3.2s.
func brief(d time.Duration) time.Duration {
	for unit := time.Microsecond; unit < time.Hour; unit *= 10 {
		if d < 100*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Second)
}
