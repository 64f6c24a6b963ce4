package wire

import (
	"fmt"
	"net/netip"
	"strings"
)

// Limits of the settings of the HTTP port.
const (
	MaxHTTPHosts = 64  // names of hosts that HTTP requests may use
	MaxWebPrefix = 128 // bytes of the path below which a proxy shows the page
)

// CheckHTTPHosts returns an error if there are too many names, or if [CheckHTTPHost] returns an error
// for one of them.
func CheckHTTPHosts(names []string) error {
	if len(names) > MaxHTTPHosts {
		return fmt.Errorf("has %d names; allowed: at most %d", len(names), MaxHTTPHosts)
	}
	for _, name := range names {
		if err := CheckHTTPHost(name); err != nil {
			return err
		}
	}
	return nil
}

// CheckHTTPHost returns an error if a text cannot be the name of a host in an HTTP request. A pattern
// such as *.example.com is no name.
func CheckHTTPHost(name string) error {
	_, err := netip.ParseAddr(name)
	switch {
	case err == nil:
		return fmt.Errorf("%s is an IP address, which is always allowed; allowed: DNS names", name)
	case name == "" || len(name) > MaxServerName || strings.ContainsFunc(name, notInHost):
		return fmt.Errorf("%q is no name of a host; allowed: DNS names without port and without *, such as status.example.com",
			CleanTo(name, MaxServerName))
	}
	return nil
}

func notInHost(r rune) bool { return !alphanumeric(r) && r != '.' && r != '-' && r != '_' }

// CheckWebPrefix returns an error if a text cannot be the path below which a proxy shows the page.
func CheckWebPrefix(prefix string) error {
	if len(prefix) > MaxWebPrefix {
		return fmt.Errorf("has %d bytes; allowed: at most %d", len(prefix), MaxWebPrefix)
	}
	rest, ok := strings.CutPrefix(prefix, "/")
	for part := range strings.SplitSeq(rest, "/") {
		ok = ok && part != "" && part != "." && part != ".." && !strings.ContainsFunc(part, notInPath)
	}
	if !ok {
		return errPrefix(prefix)
	}
	return nil
}

func errPrefix(prefix string) error {
	return fmt.Errorf("%q is no path; allowed: one that begins with / and ends without it, of letters, digits and .-_~", CleanTo(prefix, MaxWebPrefix))
}

func notInPath(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune(".-_~", r) }
