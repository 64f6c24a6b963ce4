package authority

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// DefaultDomain is the default trust domain of an authority.
const DefaultDomain = "meshhealth.internal"

// Role says what the holder of a certificate is.
type Role string

// The roles.
const (
	// Coordinator serves and dials.
	Coordinator Role = "coordinator"
	// Service serves and dials.
	Service Role = "service"
	// Operator only dials.
	Operator Role = "operator"
)

// Subject is the holder of a certificate.
type Subject struct {
	Role Role
	// Name is the name of the service or the operator; empty for a coordinator.
	Name string
	// Hosts are the DNS names and IP addresses under which the subject is dialled. An operator has
	// none.
	Hosts []string
}

// Check returns an error if a field has a value that is not allowed.
func (s *Subject) Check() error {
	switch {
	case s.Role == Service:
		if err := wire.CheckService(s.Name); err != nil {
			return fmt.Errorf("service: %w", err)
		}
	case s.Role == Operator && !operatorName.MatchString(s.Name):
		return fmt.Errorf("operator: is %q; allowed: 1 to 63 letters, digits, and . _ - @ inside, such as alice", wire.CleanTo(s.Name, wire.MaxName))
	}
	if len(s.Hosts) > maxHosts {
		return fmt.Errorf("host: %d are given; allowed: at most %d", len(s.Hosts), maxHosts)
	}
	for _, host := range s.Hosts {
		if err := checkHost(host); err != nil {
			return fmt.Errorf("host: %w", err)
		}
	}
	return nil
}

// maxHosts is the largest number of names and addresses in a certificate.
const maxHosts = 64

var (
	operatorName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?$`)
	domainLabel  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// checkHost returns an error for a text that is no DNS name and no IP address.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil || isDomain(strings.TrimPrefix(host, "*.")) {
		return nil
	}
	return fmt.Errorf("is %q; allowed: a DNS name in lower case or an IP address, without a port", wire.CleanTo(host, wire.MaxName))
}

// CheckDomain returns an error for a text that is no trust domain.
func CheckDomain(domain string) error {
	if isDomain(domain) {
		return nil
	}
	return fmt.Errorf("is %q; allowed: a DNS name in lower case, such as %s", wire.CleanTo(domain, wire.MaxName), DefaultDomain)
}

func isDomain(name string) bool {
	if len(name) > 253 {
		return false
	}
	return !slices.ContainsFunc(strings.Split(name, "."), func(label string) bool { return !domainLabel.MatchString(label) })
}

// file returns the name of the file of the certificate, without its ending.
func (s *Subject) file() string {
	if s.Role == Coordinator {
		return string(s.Role)
	}
	return string(s.Role) + "-" + s.Name
}

// uri returns the identity of the subject in a trust domain.
func (s *Subject) uri(domain string) *url.URL {
	path := "/" + string(s.Role)
	if s.Role != Coordinator {
		path += "/" + s.Name
	}
	return &url.URL{Scheme: "spiffe", Host: domain, Path: path}
}

// usages returns what the certificate permits.
func (s *Subject) usages() []x509.ExtKeyUsage {
	if s.Role == Operator {
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
}

// addHosts puts the names and addresses of the subject into a certificate.
func (s *Subject) addHosts(c *x509.Certificate) {
	for _, host := range s.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, host)
		}
	}
}
