package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/meshhealth/meshhealth/health"
)

const (
	serviceChars  = "1 to 255 of [A-Za-z0-9._-]"
	instanceChars = "1 to 255 of [A-Za-z0-9._:-]"
	zoneChars     = "1 to 63 of [A-Za-z0-9._:-]"
)

// CheckService returns an error if a text is not a valid name of a service.
func CheckService(name string) error { return checkName(name, "._-", serviceChars) }

// CheckInstance returns an error if a text is not a valid name of an instance.
func CheckInstance(name string) error { return checkName(name, "._:-", instanceChars) }

func checkName(name, extra, allowed string) error {
	switch {
	case name == "":
		return fmt.Errorf("is empty; allowed: %s", allowed)
	case len(name) > MaxName:
		return fmt.Errorf("has %d bytes; allowed: %s", len(name), allowed)
	}
	for _, r := range name {
		if !alphanumeric(r) && !strings.ContainsRune(extra, r) {
			return fmt.Errorf("has %q in it; allowed: %s", r, allowed)
		}
	}
	return nil
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// ParseName parses the name in a Check or Watch request. Its forms are service, service/instance,
// service/@zone, "*" (the mesh), "*/zone", and "" for the server that answers.
func ParseName(name string) (health.ID, error) {
	id := health.ParseID(name)
	if name == "" || name == health.MeshName {
		return id, nil
	}
	if zone, ok := id.Zone(); ok {
		return id, errors.Join(prefixed("zone", checkZone(zone)), checkPart(id))
	}
	service, instance, both := strings.Cut(name, "/")
	if err := CheckService(service); err != nil {
		return health.ID{}, fmt.Errorf("the service's name %w", err)
	}
	if !both {
		return id, nil
	}
	return id, prefixed("the instance's name", CheckInstance(instance))
}

// ParseInstance parses a name that must have the form service/instance.
func ParseInstance(name string) (health.ID, error) {
	id, err := ParseName(name)
	if err == nil && id.Aggregate() {
		err = fmt.Errorf("%q names no instance; allowed: SERVICE/INSTANCE", CleanTo(name, MaxFullName))
	}
	return id, err
}

// checkPart checks the name of a zone, or of a service in one zone.
func checkPart(id health.ID) error {
	if id.Service == health.MeshName {
		return nil
	}
	return prefixed("the service's name", CheckService(id.Service))
}

// CheckZone returns an error if a text is not a valid name of a zone. An empty name is allowed.
func CheckZone(zone string) error {
	if zone == "" {
		return nil
	}
	return checkZone(zone)
}

func checkZone(zone string) error {
	if len(zone) > MaxZone {
		return fmt.Errorf("has %d bytes; allowed: at most %d", len(zone), MaxZone)
	}
	return checkName(zone, "._:-", zoneChars)
}

// ParseScope parses the text of an override's scope.
func ParseScope(text string) (health.Scope, error) {
	if len(text) > MaxScope {
		return health.Scope{}, fmt.Errorf("has %d bytes; allowed: at most %d", len(text), MaxScope)
	}
	s, err := health.ParseScope(text)
	switch {
	case err != nil:
		return health.Scope{}, err
	case text == "" || s.Service == health.MeshName:
		return s, fmt.Errorf("%q is for nobody in particular; allowed: %s", text, ScopeNames)
	case !strings.Contains(text, "="):
		if _, err = ParseName(text); err == nil && s.Instance != "" {
			_, err = ParseInstance(text)
		}
	case s.Service != "":
		err = prefixed("the service's name", CheckService(s.Service))
	}
	return s, errors.Join(err, prefixed("zone", CheckZone(s.Zone)), prefixed("label", CheckLabels(s.Labels())))
}

// ScopeNames describes the forms of a scope. It is used in error texts.
const ScopeNames = "SERVICE/INSTANCE, SERVICE, or what must all match, such as zone=eu-1,service=S,label.KEY=VALUE (with commas: label.KEY=\"V,W\")"

func prefixed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w", what, err)
}

// CheckAddress returns an error if a text is not an address to dial. The form is host:port. With
// :port, or an unspecified host as in [::]:port, the host of the caller will be used.
func CheckAddress(address string) error {
	if len(address) > MaxAddress {
		return fmt.Errorf("has %d bytes; allowed: at most %d", len(address), MaxAddress)
	}
	host, port, err := SplitAddress(address)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q is none; allowed: 1 to 65535", CleanTo(port, MaxAddress))
	}
	return prefixed("host", checkHost(host))
}

// CheckHostAddress works like CheckAddress, but the address must have a host. It is for addresses
// from the configuration or from Go code: these have no caller whose host could be used.
func CheckHostAddress(address string) error {
	if err := CheckAddress(address); err != nil {
		return err
	}
	if host, _, _ := net.SplitHostPort(address); anyHost(host) {
		return fmt.Errorf("%q has no host to dial; allowed: HOST:PORT", address)
	}
	return nil
}

// anyHost reports whether a host is empty or an unspecified address such as [::]. A listener on all
// addresses has such a host.
func anyHost(host string) bool {
	if host == "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().WithZone("").IsUnspecified()
}

// SplitAddress splits host:port or :port. Its errors say what to write instead, such as
// the missing brackets of an IPv6 address.
func SplitAddress(address string) (host, port string, err error) {
	if host, port, err = net.SplitHostPort(address); err == nil {
		return host, port, nil
	}
	shown := CleanTo(address, MaxAddress)
	ip, port := address, "PORT"
	if at := strings.LastIndexByte(address, ':'); at >= 0 {
		if _, err := strconv.ParseUint(address[at+1:], 10, 16); err == nil && isIPv6(address[:at]) {
			ip, port = address[:at], address[at+1:]
		}
	}
	if isIPv6(ip) {
		return "", "", fmt.Errorf("%q is an IPv6 address without brackets; allowed: [%s]:%s", shown, ip, port)
	}
	return "", "", fmt.Errorf("%q is not an address; allowed: host:port or :port", shown)
}

func isIPv6(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Is6()
}

func checkHost(host string) error {
	for _, r := range host {
		if !alphanumeric(r) && !strings.ContainsRune(".-_:%", r) {
			return fmt.Errorf("has %q in it; allowed: a DNS name or an IP address", r)
		}
	}
	return nil
}
