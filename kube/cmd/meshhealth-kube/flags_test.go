package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string // lines of the error; none: the flags are valid
	}{
		{[]string{}, nil},
		{[]string{"--coordinator", "mesh.example:7070", "--insecure", "--http", "off", "--new-pods-when-blind", "False"}, nil},
		{[]string{"--coordinator", "mesh.example:7070", "--server-name", "mesh", "--namespace", "shop", "--lease-duration", "3s"}, nil},
		{[]string{"--coordinator", "mesh"}, []string{`--coordinator: is "mesh"; allowed: HOST:PORT`}},
		{[]string{"--coordinator", ":7070"}, []string{`--coordinator: is ":7070"; allowed: HOST:PORT`}},
		{[]string{"--insecure", "--server-name", "mesh"}, []string{"--insecure: is given beside TLS flags; allowed: one of them"}},
		{[]string{"--tls-ca", "none"}, []string{"--tls-ca: open none: no such file or directory"}},
		{[]string{"--cluster", ""}, []string{`--cluster: is ""; allowed: 1 to 58 of [A-Za-z0-9._-]`}},
		{[]string{"--cluster", strings.Repeat("c", 59)}, []string{`--cluster: is "` + strings.Repeat("c", 59) + `"; allowed: 1 to 58 of [A-Za-z0-9._-]`}},
		{[]string{"--new-pods-when-blind", "true"}, []string{`--new-pods-when-blind: is "true"; allowed: True, False`}},
		{[]string{"--lease-duration", "2s"}, []string{`--lease-duration: is "2s"; allowed: 3s to 5m`}},
		{[]string{"--lease-duration", "long"}, []string{`--lease-duration: is "long"; allowed: a duration such as 10s`}},
		{[]string{"--lease-namespace", "A", "--lease", "-", "--namespace", "a/b"}, []string{
			`--lease-namespace: is "A"; allowed: 1 to 63 of [a-z0-9-]`, `--lease: is "-"; allowed: 1 to 63 of [a-z0-9-]`,
			`--namespace: is "a/b"; allowed: 1 to 63 of [a-z0-9-]`,
		}},
		{[]string{"--http", "here"}, []string{`--http: is "here"; allowed: HOST:PORT, off`}},
		{[]string{"--log-format", "xml", "--log-level", "info+1"}, []string{
			`--log-format: is "xml"; allowed: json, text`, `--log-level: is "info+1"; allowed: debug, info, warn, error`,
		}},
		{[]string{"--workload-entries=perhaps"}, []string{`--workload-entries: is "perhaps"; allowed: true, false`}},
		{[]string{"--nothing"}, []string{"flag: unknown flag: --nothing; allowed: the flags that --help lists"}},
		{[]string{"now"}, []string{`argument: is "now"; allowed: none`}},
	} {
		_, err := parse(c.args, io.Discard)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != strings.Join(c.want, "\n") {
			t.Errorf("%q:\n%s\nwant\n%s", c.args, got, strings.Join(c.want, "\n"))
		}
	}
}

func TestHelp(t *testing.T) {
	var out strings.Builder
	if _, err := parse([]string{"--help"}, &out); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("the error is %v", err)
	}
	for _, part := range []string{"meshhealth.dev/follow", "--new-pods-when-blind", "--workload-entries"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the help lacks %s:\n%s", part, out.String())
		}
	}
}
