package main

import (
	"fmt"
	"strings"

	"github.com/meshhealth/meshhealth/internal/authority"
)

// certPolicy is the name of the access policy that `cert init` writes.
const certPolicy = "access.yaml"

// policyText returns the access policy that `cert init` writes: operators may do everything, and services may
// register themselves. No text needs quotes that YAML would change, because names have letters, digits, dots,
// underscores and hyphens only.
func policyText(domain string, subjects []*authority.Subject) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by "meshhealth cert init". What no rule allows is refused.
version: 1
trust_domain: "%[1]s"
rules:
  # Operators, and root over the unix socket, may do everything. Add the networks of the services that they register by hand.
  - name: operators
    who: ["spiffe://%[1]s/operator/*", "unix:uid=0"]
    register: {services: ["*"], addresses: [peer]}
    read: {services: ["*"], detail: evidence}
    route: {services: ["*"]}
    override: {services: ["*"]}
    admin: true
  # Services see the status of all services, and where they receive traffic.
  - name: services
    who: ["spiffe://%[1]s/service/*"]
    read: {services: ["*"], detail: status}
    route: {services: ["*"]}
  # Each service registers itself, at the address from which it calls.
`, domain)
	for _, s := range subjects {
		if s.Role == authority.Service {
			fmt.Fprintf(&b, "  - %s\n", serviceRule(domain, s.Name))
		}
	}
	return b.String()
}

// serviceRule returns the rule that allows a service to register itself.
func serviceRule(domain, name string) string {
	return fmt.Sprintf(`{name: "service-%[2]s", who: ["spiffe://%[1]s/service/%[2]s"], register: {services: ["%[2]s"], addresses: [peer]}}`, domain, name)
}
