package wire

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// InstanceSuffix is the end of an authority that names an instance, as in
// a.instance.meshhealth. The case of the letters in it does not matter.
const InstanceSuffix = ".instance.meshhealth"

// authorityForm describes an authority that names an instance. It is used in error texts.
const authorityForm = "INSTANCE" + InstanceSuffix + " or INSTANCE" + InstanceSuffix +
	":PORT, where INSTANCE has [A-Za-z0-9._-], and %XX for another character, as in a%3A1 for a:1"

// ParseAuthority returns the name of the instance in an :authority of the form
// INSTANCE.instance.meshhealth or INSTANCE.instance.meshhealth:PORT. The port has no meaning.
// named is false for every other authority, which is the name of a host.
//
// INSTANCE is the name of the instance, in its own case. A colon is written as %3A, because a
// host has none. Every other character may be written as %XX too.
//
// An authority with this suffix is never a name of a host. So ParseAuthority returns an error
// if the rest of it is malformed: a caller that asks for one instance must not receive
// the status of a service.
func ParseAuthority(authority string) (instance string, named bool, err error) {
	at := lastIndexFold(authority, InstanceSuffix)
	if at < 0 {
		return "", false, nil
	}
	encoded, rest := authority[:at], authority[at+len(InstanceSuffix):]
	port, hasPort := strings.CutPrefix(rest, ":")
	_, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case rest == "", hasPort && portErr == nil:
	case rest == ".", hasPort, strings.HasPrefix(rest, ".:"):
		return "", true, malformed(authority)
	default:
		return "", false, nil // such as a.instance.meshhealth.example.com
	}
	for i := range len(encoded) {
		if c := rune(encoded[i]); !alphanumeric(c) && !strings.ContainsRune("._-%", c) {
			return "", true, malformed(authority)
		}
	}
	if instance, err = url.PathUnescape(encoded); err != nil {
		return "", true, malformed(authority)
	}
	return instance, true, prefixed("the instance's name", CheckInstance(instance))
}

func malformed(authority string) error {
	return fmt.Errorf("is %q; allowed: %s", CleanTo(authority, MaxRule*2), authorityForm)
}

// lastIndexFold is strings.LastIndex, but the case of ASCII letters does not matter. suffix
// must be in lower case and have no bytes above 127.
func lastIndexFold(s, suffix string) int {
	for at := len(s) - len(suffix); at >= 0; at-- {
		if s[at] == suffix[0] && strings.EqualFold(s[at:at+len(suffix)], suffix) {
			return at
		}
	}
	return -1
}
