package h2spec

import (
	"encoding/xml"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// h2spec returns the path of the program h2spec, or skips the test.
func h2spec(t *testing.T) string {
	t.Helper()
	path := os.Getenv("H2SPEC")
	if path == "" {
		t.Skip("DID NOT RUN: H2SPEC is not set; `make compat` builds h2spec and sets it")
	}
	return path
}

// target is a port that h2spec examines. path is the path of its requests.
type target struct {
	addr net.Addr
	path string
	tls  bool
}

// results has the names of the tests of h2spec that a server has passed and failed, each once.
type results struct{ passed, failed []string }

// examine runs all tests of h2spec against the target.
func (g target) examine(t *testing.T, program string) results {
	host, port, err := net.SplitHostPort(g.addr.String())
	if err != nil {
		t.Error(err)
		return results{}
	}
	report := filepath.Join(t.TempDir(), "report.xml")
	args := []string{"-h", host, "-p", port, "-P", g.path, "-j", report}
	if g.tls {
		args = append(args, "-t", "-k")
	}
	// h2spec fails if one of its tests does, so the report says whether it ran.
	out, _ := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Errorf("%s wrote no report: %v\n%s", program, err, out)
		return results{}
	}
	r, err := parse(text)
	if err != nil {
		t.Errorf("%s: the report: %v", program, err)
	}
	return r
}

// parse reads a report in the format of JUnit. The tests of h2spec are named by their section and by
// what they do. If a name occurs several times, one failure makes it a failure.
func parse(text []byte) (results, error) {
	var report struct {
		Suites []struct {
			Cases []struct {
				Section string    `xml:"package,attr"`
				Title   string    `xml:"classname,attr"`
				Failure *string   `xml:"failure"`
				Error   *string   `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		return results{}, err
	}
	var r results
	outcomes := map[string]bool{} // whether a test has passed each time
	var order []string
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			if c.Skipped != nil {
				continue
			}
			name := c.Section + ": " + c.Title
			before, known := outcomes[name]
			if !known {
				order = append(order, name)
			}
			outcomes[name] = (before || !known) && holds(c.Failure) && holds(c.Error)
		}
	}
	for _, name := range order {
		if outcomes[name] {
			r.passed = append(r.passed, name)
		} else {
			r.failed = append(r.failed, name)
		}
	}
	return r, nil
}

// holds reports whether a message of h2spec is no failure. h2spec means to accept the reset of a
// connection as its end, but does not recognise a reset, because Go has wrapped the error since then.
// A server resets a connection if it closes it before it has read everything.
func holds(message *string) bool {
	return message == nil || strings.Contains(*message, "Connection closed") && strings.HasSuffix(strings.TrimSpace(*message), "connection reset by peer")
}

func TestParse(t *testing.T) {
	const report = `<testsuites>
	<testsuite><testcase package="http2/1" classname="a"></testcase><testcase package="http2/1" classname="b"><skipped></skipped></testcase></testsuite>
	<testsuite>
		<testcase package="http2/2" classname="a"><error>GOAWAY Frame
Timeout</error></testcase>
		<testcase package="http2/2" classname="b"><error>GOAWAY Frame
Connection closed
Error: read tcp 127.0.0.1:1: read: connection reset by peer</error></testcase>
		<testcase package="http2/2" classname="c"><failure>Stream closed
Error: read tcp 127.0.0.1:1: read: connection reset by peer</failure></testcase>
		<testcase package="http2/2" classname="d"></testcase><testcase package="http2/2" classname="d"><error>x</error></testcase><testcase package="http2/2" classname="d"></testcase>
	</testsuite>
</testsuites>`
	r, err := parse([]byte(report))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"http2/1: a", "http2/2: b"}; !slices.Equal(r.passed, want) {
		t.Errorf("passed: %q, want %q", r.passed, want)
	}
	if want := []string{"http2/2: a", "http2/2: c", "http2/2: d"}; !slices.Equal(r.failed, want) {
		t.Errorf("failed: %q, want %q", r.failed, want)
	}
	if _, err := parse([]byte("<testsuites>")); err == nil {
		t.Error("a report that breaks off is no error")
	}
}
