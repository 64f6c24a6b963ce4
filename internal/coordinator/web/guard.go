package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/meshhealth/meshhealth/internal/fields"
)

// guard refuses requests that a web page of somebody else may have caused. Such a page runs in the
// browser of a user, and can reach every address that the user can reach.
type guard struct {
	hosts    []string // host names that are allowed beside localhost and IP addresses
	loopback bool     // true if only this machine can reach the listener
	open     bool     // true if the listener may speak plaintext with other machines
}

// machinesOnly returns a handler for programs such as Prometheus. Beyond loopback, they may use any
// name of the coordinator.
func (g *guard) machinesOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := g.checkHost(r); err != nil && g.loopback {
			http.Error(w, err.Error(), http.StatusMisdirectedRequest)
			return
		}
		next(w, r)
	}
}

// peopleOnly returns a handler for the page. Other pages may have links to it.
func (g *guard) peopleOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := g.checkHost(r); err != nil {
			http.Error(w, err.Error(), http.StatusMisdirectedRequest)
			return
		}
		if err := g.checkPlaintext(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// callsOnly returns a handler for calls, which only programs and the page itself may make.
func (g *guard) callsOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := g.checkHost(r); err != nil {
			refuseCall(w, http.StatusMisdirectedRequest, "permission_denied", err.Error())
			return
		}
		if err := errors.Join(g.checkPlaintext(r), g.checkOrigin(r)); err != nil {
			refuseCall(w, http.StatusForbidden, "permission_denied", err.Error())
			return
		}
		next(w, r)
	}
}

// checkHost refuses a request whose host is neither localhost, an IP address, nor a configured name.
// This protects against DNS rebinding. In such an attack, the domain name of a web page resolves to
// the address of this listener. The page could then read the answers. With TLS no check is needed,
// because the certificate is not valid for the name of the attacker.
func (g *guard) checkHost(r *http.Request) error {
	if r.TLS != nil || g.allows(hostOf(r.Host)) {
		return nil
	}
	return &fields.Error{Field: "Host", Err: fmt.Errorf(
		"is %.64q; allowed: localhost, IP addresses, and the names in http_hosts (--http-hosts)", r.Host)}
}

func (g *guard) allows(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return strings.EqualFold(host, "localhost") || g.configured(host)
}

func (g *guard) configured(host string) bool {
	return slices.ContainsFunc(g.hosts, func(one string) bool { return strings.EqualFold(one, host) })
}

// hostOf returns the host of the header Host without the port and without brackets.
func hostOf(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

// checkOrigin refuses a request that comes from a page of another origin. Programs that are no
// browsers send neither header.
func (g *guard) checkOrigin(r *http.Request) error {
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) && !g.configured(u.Hostname()) {
			return &fields.Error{Field: "Origin", Err: fmt.Errorf(
				"is %.64q; allowed: the host of the request, and the names in http_hosts (--http-hosts)", origin)}
		}
	}
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return &fields.Error{Field: "Sec-Fetch-Site", Err: fmt.Errorf("is %.32q; allowed: same-origin, none", site)}
		}
	}
	return nil
}

// errPlaintext refuses the page and the calls on a plaintext listener that other machines can reach.
var errPlaintext = errors.New("this address speaks plaintext beyond loopback, so it serves only /livez, /readyz and /metrics; " +
	"set http_tls to on, or let a proxy on the machine of the coordinator connect to an address on loopback")

// checkPlaintext refuses a request whose answer others could read or change on the way.
func (g *guard) checkPlaintext(r *http.Request) error {
	if r.TLS == nil && !g.loopback && !g.open {
		return errPlaintext
	}
	return nil
}
