package access

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// wildcard is the segment of a pattern that stands for any segment.
const wildcard = "*"

// matches reports whether a pattern matches a text. Both are split at sep.
func matches(pattern, text string, sep byte) bool {
	for {
		p, restP, moreP := cut(pattern, sep)
		t, restT, moreT := cut(text, sep)
		switch {
		case p == wildcard && !moreP:
			return t != ""
		case p != t && (p != wildcard || t == ""):
			return false
		case !moreP || !moreT:
			return moreP == moreT
		}
		pattern, text = restP, restT
	}
}

// cut returns the first segment of a text and what follows it.
func cut(text string, sep byte) (first, rest string, more bool) {
	if i := strings.IndexByte(text, sep); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}

// checkPattern returns an error if a pattern has an empty segment, a segment that contains * and something
// else, or too many segments.
func checkPattern(pattern string, sep byte) error {
	segments := strings.Split(pattern, string(sep))
	if len(segments) > MaxSegments {
		return fmt.Errorf("%.64q has %d segments; allowed: at most %d", pattern, len(segments), MaxSegments)
	}
	for _, s := range segments {
		switch {
		case s == "":
			return fmt.Errorf("%q has an empty segment between %q; allowed: segments with text, or * for any segment", pattern, sep)
		case s != wildcard && strings.Contains(s, wildcard):
			return fmt.Errorf("%q has %q, and * stands for whole segments only; allowed: * between %q", pattern, s, sep)
		}
	}
	return nil
}

// checkServicePattern returns an error if a text is no pattern of services.
func checkServicePattern(pattern string) error {
	if err := checkText(pattern); err != nil {
		return err
	}
	for _, r := range pattern {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-*", r) {
			return fmt.Errorf("%q has %q in it; allowed: [A-Za-z0-9._-], and * for a whole segment", pattern, r)
		}
	}
	return checkPattern(pattern, '.')
}

func checkText(text string) error {
	switch {
	case text == "":
		return fmt.Errorf("is empty; allowed: 1 to %d bytes", MaxPattern)
	case len(text) > MaxPattern:
		return fmt.Errorf("has %d bytes; allowed: 1 to %d", len(text), MaxPattern)
	}
	for _, r := range text {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) || r == ' ' {
			return fmt.Errorf("%q has %q in it; allowed: printable characters without spaces", text, r)
		}
	}
	return nil
}

// The two words of Rule.Who that stand for many identities.
const (
	anyone        = "anyone"
	authenticated = "authenticated"
)

// The kinds of identities: what an identity begins with.
const (
	spiffePrefix = "spiffe://"
	dnsPrefix    = "dns:"
	tokenPrefix  = "token:"
	unixPrefix   = "unix:uid="
	extPrefix    = "ext:"
)

// identityForms names the forms of an identity, and whoForms those of an entry of Rule.Who.
const (
	identityForms = "spiffe://DOMAIN/PATH, dns:NAME, token:NAME, unix:uid=NUMBER, ext:TEXT"
	whoForms      = identityForms + ", authenticated, anyone"
)

// includes reports whether an entry of Rule.Who includes an identity.
func includes(who, identity string) bool {
	switch {
	case who == anyone:
		return true
	case identity == "":
		return false
	case who == authenticated || who == identity:
		return true
	case !strings.Contains(who, wildcard):
		return false
	case strings.HasPrefix(who, spiffePrefix) && strings.HasPrefix(identity, spiffePrefix):
		return matches(who[len(spiffePrefix):], identity[len(spiffePrefix):], '/')
	case strings.HasPrefix(who, dnsPrefix) && strings.HasPrefix(identity, dnsPrefix):
		return matches(who[len(dnsPrefix):], identity[len(dnsPrefix):], '.')
	}
	return false
}

// checkWho returns an error if a text is no entry of Rule.Who of a policy.
func (p *Policy) checkWho(who string) error {
	if who == anyone || who == authenticated {
		return nil
	}
	if err := checkText(who); err != nil {
		return err
	}
	if rest, is := strings.CutPrefix(who, spiffePrefix); is {
		domain, path, _ := cut(rest, '/')
		switch {
		case strings.Contains(domain, wildcard):
			return fmt.Errorf("%q has * in its trust domain; allowed: * in the path", who)
		case p.TrustDomain != "" && domain != p.TrustDomain:
			return fmt.Errorf("%q is of the trust domain %q; allowed: %s", who, domain, p.TrustDomain)
		case path == "":
			return fmt.Errorf("%q has no path; allowed: spiffe://DOMAIN/PATH, where * stands for whole segments", who)
		}
		return checkPattern(rest, '/')
	}
	if rest, is := strings.CutPrefix(who, dnsPrefix); is {
		if !p.AllowDNSNames {
			return fmt.Errorf("%q is a DNS name, and allow_dns_names is false; allowed: %s", who, whoForms)
		}
		return checkPattern(rest, '.')
	}
	if name, is := strings.CutPrefix(who, tokenPrefix); is {
		if _, known := p.Tokens[name]; !known {
			return fmt.Errorf("%q is not in tokens; allowed: a name in tokens", who)
		}
		return nil
	}
	if id, is := strings.CutPrefix(who, unixPrefix); is {
		if n, err := strconv.ParseUint(id, 10, 32); err != nil || strconv.FormatUint(n, 10) != id {
			return fmt.Errorf("%q has no user number; allowed: unix:uid=0 to unix:uid=4294967295", who)
		}
		return nil
	}
	if rest, is := strings.CutPrefix(who, extPrefix); is && rest != "" && !strings.Contains(rest, wildcard) {
		return nil
	}
	return fmt.Errorf("%q is no identity; allowed: %s", who, whoForms)
}

// checkNetwork returns an error if a network is not valid.
func checkNetwork(n netip.Prefix) error {
	if !n.IsValid() || n != n.Masked() {
		return fmt.Errorf("%v is no network; allowed: a network such as 10.0.0.0/8", n)
	}
	return nil
}

// CertificateIdentity returns the identity in a verified certificate with these names. It is empty if the
// certificate has no name that can be an identity. It returns an error if the certificate has several.
func (c *Compiled) CertificateIdentity(uris, dnsNames []string) (string, error) {
	switch {
	case len(uris) > 1:
		return "", fmt.Errorf("the certificate has %d URIs; allowed: exactly one, such as spiffe://example.org/payments", len(uris))
	case len(uris) == 1:
		return c.spiffeIdentity(uris[0])
	case !c.policy.AllowDNSNames || len(dnsNames) == 0:
		return "", nil
	case len(dnsNames) > 1:
		return "", fmt.Errorf("the certificate has %d DNS names and no URI; allowed: one URI, or exactly one DNS name", len(dnsNames))
	}
	return dnsPrefix + strings.ToLower(dnsNames[0]), nil
}

func (c *Compiled) spiffeIdentity(uri string) (string, error) {
	rest, is := strings.CutPrefix(uri, spiffePrefix)
	domain, path, _ := cut(rest, '/')
	switch {
	case !is || domain == "" || path == "" || len(uri) > MaxPattern || strings.ContainsAny(uri, "*?#%") || checkPattern(rest, '/') != nil:
		return "", fmt.Errorf("the certificate has the URI %.128q, which is no SPIFFE ID; allowed: spiffe://DOMAIN/PATH", uri)
	case c.policy.TrustDomain != "" && domain != c.policy.TrustDomain:
		return "", fmt.Errorf("the certificate is of the trust domain %.128q; allowed: %s", domain, c.policy.TrustDomain)
	}
	return uri, nil
}

// TokenName returns the name of the token whose identity is given. is is false for another kind of identity.
func TokenName(identity string) (name string, is bool) {
	return strings.CutPrefix(identity, tokenPrefix)
}

// External returns the identity of a caller that another program has identified.
func External(text string) string { return extPrefix + text }

// UnixUser returns the identity of a process that runs as the user with this number.
func UnixUser(uid uint32) string { return unixPrefix + strconv.FormatUint(uint64(uid), 10) }

// UnixUserOf returns the number of the user in an identity that UnixUser has made.
func UnixUserOf(identity string) (uid string, is bool) {
	return strings.CutPrefix(identity, unixPrefix)
}
