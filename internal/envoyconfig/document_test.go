package envoyconfig_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/internal/envoyconfig"
)

// TestParse checks that each faulty bootstrap is refused with the line and the field of each fault.
func TestParse(t *testing.T) {
	deep := "a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200)
	bomb := "a: &a [" + strings.Repeat("x,", 50) + "x]\n"
	for name := 'b'; name < 'k'; name++ {
		bomb += string(name) + ": &" + string(name) + " [" + strings.Repeat("*"+string(name-1)+",", 20) + "x]\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", "0: : is no mapping; allowed: a bootstrap of Envoy\n"},
		"a list":       {"- a\n", "0: : is no mapping; allowed: a bootstrap of Envoy\n"},
		"a text":       {"node", "0: : is no mapping; allowed: a bootstrap of Envoy\n"},
		"syntax":       {"node:\n  id: [\n", "did not find expected node content"},
		"an anchor":    {"node: *x\n", "unknown anchor 'x' referenced"},
		"a cycle":      {"node: &x {metadata: *x}\n", "has more than 100 levels"},
		"deep":         {deep, "has more than 100 levels"},
		"aliases":      {bomb, "is larger than 16777216 bytes or 200000 fields when its aliases are replaced"},
		"a key":        {"? [a]\n: b\n", "has a key that is no text, in line 1"},
		"large":        {"# " + strings.Repeat("x", envoyconfig.MaxText), "allowed: at most 4194304"},
		"for gRPC":     {`{"xds_servers": []}`, "1: xds_servers: belongs to a bootstrap of gRPC; allowed: a bootstrap of Envoy\n"},
		"twice":        {"node: {id: a}\nnode: {id: b}\n", `2: node: duplicate field "node"` + "\n"},
		"unknown":      {"nod: {}\nnode:\n  id: a\n  zone: eu\n", "1: nod: unknown field \"nod\"\n4: node.zone: unknown field \"zone\"\n"},
		"wrong type":   {"node:\n  id: 7\nadmin: yes\n", "2: node.id: invalid value for string field id: 7\n3: admin: unexpected token true\n"},
		"Envoy's yes":  {"node:\n  id: on\n", "2: node.id: invalid value for string field id: true\n"},
		"merge":        {"node: &n {id: a}\nx: {<<: *n}\n", `2: x: unknown field "x"` + "\n"},
		"a number":     {"admin: {address: {socket_address: {address: a, port_value: -1}}}\n", "1: admin.address.socket_address.port_value: invalid value for uint32 field portValue: -1\n"},
		"a duration":   {"static_resources:\n  clusters:\n  - name: a\n    connect_timeout: soon\n", "4: static_resources.clusters[0].connect_timeout: invalid google.protobuf.Duration value \"soon\"\n"},
		"camel case":   {"staticResources:\n  clusters:\n  - name: a\n    connectTimeout: 0s\n", "4: static_resources.clusters[0].connect_timeout: value must be greater than 0s\n"},
		"missing":      {"static_resources:\n  clusters:\n  - {}\n  - name: b\n  - connect_timeout: 1s\n", "3: static_resources.clusters[0].name: value length must be at least 1 runes\n5: static_resources.clusters[2].name: value length must be at least 1 runes\n"},
		"inside":       {"static_resources:\n  clusters:\n  - name: a\n    transport_socket:\n      name: t\n      typed_config:\n        \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n        sni: " + strings.Repeat("x", 256) + "\n", "8: static_resources.clusters[0].transport_socket.typed_config.sni: value length must be at most 255 bytes\n"},
		"inside twice": {"static_resources:\n  clusters:\n  - name: a\n    transport_socket:\n      name: t\n      typed_config:\n        \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n        sny: a\n        snz: b\n", "8: static_resources.clusters[0].transport_socket.typed_config.sny: unknown field \"sny\"\n9: static_resources.clusters[0].transport_socket.typed_config.snz: unknown field \"snz\"\n"},
		"no type":      {"static_resources: {clusters: [{name: a, transport_socket: {name: t, typed_config: {sni: a}}}]}\n", "1: static_resources.clusters[0].transport_socket.typed_config"},
	} {
		d, faults := envoyconfig.Parse([]byte(c.text))
		if got := printed(faults); d != nil || !strings.Contains(got, c.want) || strings.Contains(c.want, "\n") && got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestUnknownType checks that a message of an unknown type is reported, and does not hide the rest.
func TestUnknownType(t *testing.T) {
	const text = `
static_resources:
  clusters:
  - name: a
    connect_timeout: 1s
    transport_socket:
      name: mine
      typed_config:
        "@type": type.googleapis.com/mine.Socket
        anything: [1, {x: y}]
`
	d, faults := envoyconfig.Parse([]byte(text))
	if d == nil {
		t.Fatal(printed(faults))
	}
	want := `9: static_resources.clusters[0].transport_socket.typed_config: was not checked: this program does not know the type "type.googleapis.com/mine.Socket"` + "\n"
	if got := printed(d.Unknown); got != want {
		t.Errorf("%q", got)
	}
}

// TestAdvice checks what is said about a bootstrap with many weak settings, and with each corrected.
func TestAdvice(t *testing.T) {
	text, err := os.ReadFile("testdata/weak.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, faults := envoyconfig.Parse(text)
	if d == nil {
		t.Fatal(printed(faults))
	}
	golden(t, "weak.txt", printed(d.Advice()))
}

// FuzzParse checks that Parse neither panics nor runs without end, and that advice has a line.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"ads", "ads_tls", "static", "static_tls", "weak"} {
		text, err := os.ReadFile("testdata/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("node: &x {metadata: {a: *y}}\n"))
	f.Add([]byte("a: &a [x]\nb: [*a, *a]\n? {x: y}\n: .inf\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 16<<10 {
			return
		}
		d, faults := envoyconfig.Parse(text)
		if (d == nil) != (len(faults) > 0) {
			t.Fatalf("%v beside faults %v", d, faults)
		}
		if d == nil {
			return
		}
		for _, a := range append(d.Advice(), d.Unknown...) {
			if a.Line < 1 || a.Path == "" || a.Text == "" {
				t.Errorf("%+v", a)
			}
		}
		if out, err := envoyconfig.YAML(d.Bootstrap); err == nil {
			if _, faults := envoyconfig.Parse([]byte(out)); len(faults) > 0 {
				t.Errorf("what was printed is refused: %s\n%s", printed(faults), out)
			}
		}
	})
}

// TestPage checks that nothing is to say about the files in docs/envoy.md.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/envoy.md")
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile("(?ms)^```yaml\n(# envoy.yaml, .*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(files) < 6 {
		t.Errorf("found %d files", len(files))
	}
	for _, f := range files {
		title, _, _ := strings.Cut(f[1], "\n")
		d, faults := envoyconfig.Parse([]byte(f[1]))
		if d == nil {
			t.Errorf("%s: %s", title, printed(faults))
		} else if advice := printed(d.Advice()); advice != "" {
			t.Errorf("%s: %s", title, advice)
		}
	}
}
