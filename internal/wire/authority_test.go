package wire

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseAuthority(t *testing.T) {
	long := strings.Repeat("a", MaxName)
	for _, c := range []struct {
		authority, instance string
	}{
		{"a.instance.meshhealth", "a"},
		{"a.instance.meshhealth:7070", "a"},
		{"a.instance.meshhealth:0", "a"},
		{"Pay-1.instance.meshhealth", "Pay-1"},
		{"Pay-1.INSTANCE.MeshHealth:7070", "Pay-1"},
		{"pay-1.eu.instance.meshhealth", "pay-1.eu"},
		{"_a-.instance.meshhealth", "_a-"},
		{"10.0.0.1%3A9000.instance.meshhealth", "10.0.0.1:9000"},
		{"10.0.0.1%3a9000.instance.meshhealth:7070", "10.0.0.1:9000"},
		{"%50ay.instance.meshhealth", "Pay"}, // upper case that survives a proxy with lower case
		{"%2E.instance.meshhealth", "."},
		{"a.instance.meshhealth.instance.meshhealth", "a.instance.meshhealth"},
		{"..instance.meshhealth", "."},
		{long + ".instance.meshhealth", long},
		{strings.Repeat("%61", MaxName) + ".instance.meshhealth:65535", long},
	} {
		got, named, err := ParseAuthority(c.authority)
		if got != c.instance || !named || err != nil {
			t.Errorf("%.80s: %q %v %v, want %q", c.authority, got, named, err, c.instance)
		}
	}
}

func TestAuthorityOfAHost(t *testing.T) {
	for _, authority := range []string{
		"", "coordinator", "127.0.0.1:7070", "[::1]:7070", "instance.meshhealth", "instance.meshhealth:7070",
		"a.instance.meshhealth.example.com", "a.instance.meshhealthy", "a-instance.meshhealth", "a.instance.mesh",
		"a.instances.meshhealth", "meshhealth", "a.instance.meshhealth/b",
	} {
		if got, named, err := ParseAuthority(authority); got != "" || named || err != nil {
			t.Errorf("%q: %q %v %v, want a host", authority, got, named, err)
		}
	}
}

func TestMalformedAuthority(t *testing.T) {
	for authority, want := range map[string]string{
		".instance.meshhealth":                                  "the instance's name is empty",
		".instance.meshhealth:7070":                             "the instance's name is empty",
		"a.instance.meshhealth.":                                "allowed: INSTANCE.instance.meshhealth",
		"a.instance.meshhealth.:7070":                           "allowed: INSTANCE.instance.meshhealth",
		"a.instance.meshhealth:":                                "allowed: INSTANCE.instance.meshhealth",
		"a.instance.meshhealth:http":                            "allowed: INSTANCE.instance.meshhealth",
		"a.instance.meshhealth:65536":                           "allowed: INSTANCE.instance.meshhealth",
		"a.instance.meshhealth:-1":                              "allowed: INSTANCE.instance.meshhealth",
		"a.instance.meshhealth:7070:7070":                       "allowed: INSTANCE.instance.meshhealth",
		"a:1.instance.meshhealth":                               "as in a%3A1 for a:1",
		"me@a.instance.meshhealth":                              "has [A-Za-z0-9._-]",
		"[::1].instance.meshhealth":                             "has [A-Za-z0-9._-]",
		"pay/a.instance.meshhealth":                             "has [A-Za-z0-9._-]",
		"ä.instance.meshhealth":                                 "has [A-Za-z0-9._-]",
		"a%.instance.meshhealth":                                "%XX",
		"a%2.instance.meshhealth":                               "%XX",
		"a%zz.instance.meshhealth":                              "%XX",
		"a%2Fb.instance.meshhealth":                             "has '/' in it; allowed: 1 to 255",
		"%40eu.instance.meshhealth":                             "has '@' in it",
		"a%00.instance.meshhealth":                              `has '\x00' in it`,
		"a%FF.instance.meshhealth":                              "in it; allowed: 1 to 255",
		strings.Repeat("a", MaxName+1) + ".instance.meshhealth": "has 256 bytes",
	} {
		_, named, err := ParseAuthority(authority)
		if !named || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v %v, want %q", authority, named, err, want)
		}
	}
}

// FuzzParseAuthority: a name that ParseAuthority returns is valid, and its canonical authority
// means the same name.
func FuzzParseAuthority(f *testing.F) {
	for _, seed := range []string{"a.instance.meshhealth:1", "%3A.instance.meshhealth", "a.instance.meshhealth.", "localhost:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, authority string) {
		name, named, err := ParseAuthority(authority)
		if !named || err != nil {
			return
		}
		if err := CheckInstance(name); err != nil {
			t.Fatalf("%q: the name %q %v", authority, name, err)
		}
		again, named, err := ParseAuthority(strings.ReplaceAll(url.PathEscape(name), ":", "%3A") + InstanceSuffix)
		if again != name || !named || err != nil {
			t.Errorf("%q: %q, then %q %v %v", authority, name, again, named, err)
		}
	})
}
