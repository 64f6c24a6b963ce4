package wire

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/meshhealth/meshhealth/health"
)

const (
	serviceChars  = "1 to 255 of [A-Za-z0-9._-]"
	instanceChars = "1 to 255 of [A-Za-z0-9._:-]"
	zoneChars     = "1 to 63 of [A-Za-z0-9._:-]"
)

// CheckService returns what is wrong with the name of a service.
func CheckService(name string) error { return checkName(name, "._-", serviceChars) }

// CheckInstance returns what is wrong with the name of an instance.
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

// ParseName reads a name as Check and Watch take it: a service,
// service/instance, service/@zone, "*", "*/zone", or "" for who answers.
func ParseName(name string) (health.ID, error) {
	id := health.ParseID(name)
	if name == "" || name == health.MeshName {
		return id, nil
	}
	if zone, ok := id.Part(); ok {
		return id, errors.Join(prefixed("zone", checkZone(zone)), checkPart(id))
	}
	if err := CheckService(id.Service); err != nil {
		return health.ID{}, fmt.Errorf("the service's name %w", err)
	}
	if !strings.Contains(name, "/") {
		return id, nil
	}
	return id, prefixed("the instance's name", CheckInstance(id.Instance))
}

// ParseInstance reads a name that must be service/instance.
func ParseInstance(name string) (health.ID, error) {
	id, err := ParseName(name)
	if err == nil && id.Aggregate() {
		err = fmt.Errorf("%q names no instance; allowed: SERVICE/INSTANCE", CleanTo(name, MaxFullName))
	}
	return id, err
}

// checkPart wants a service that has something in a zone, or the mesh.
func checkPart(id health.ID) error {
	if id.Service == health.MeshName {
		return nil
	}
	return prefixed("the service's name", CheckService(id.Service))
}

// CheckZone returns what is wrong with the name of a zone; empty is none.
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

// ParseScope reads whom an override is for.
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

// ScopeNames says in words whom an override can be for.
const ScopeNames = "SERVICE/INSTANCE, SERVICE, or what must all match, such as zone=eu-1,service=S,label.KEY=VALUE"

func prefixed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w", what, err)
}

// CheckAddress returns what is wrong with an address to dial: host:port, or
// :port for the host the caller is seen from.
func CheckAddress(address string) error {
	if len(address) > MaxAddress {
		return fmt.Errorf("has %d bytes; allowed: at most %d", len(address), MaxAddress)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address; allowed: host:port or :port", CleanTo(address, MaxAddress))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q is none; allowed: 1 to 65535", CleanTo(port, MaxAddress))
	}
	return prefixed("host", checkHost(host))
}

func checkHost(host string) error {
	for _, r := range host {
		if !alphanumeric(r) && !strings.ContainsRune(".-_:%", r) {
			return fmt.Errorf("has %q in it; allowed: a DNS name or an IP address", r)
		}
	}
	return nil
}
