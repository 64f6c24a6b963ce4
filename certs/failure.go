package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what was wrong with a handshake.
type Kind uint8

// The kinds of failed handshakes.
const (
	// KindOther is a failure without a kind of its own.
	KindOther Kind = iota
	// KindPlaintext means that the peer does not speak TLS.
	KindPlaintext
	// KindVersion means that the peer does not speak a version of TLS, or the protocol HTTP/2, that
	// is required.
	KindVersion
	// KindUnknownAuthority means that the certificate of the peer is signed by none of the roots.
	KindUnknownAuthority
	// KindExpired means that the certificate of the peer has expired, if the clock here is right.
	KindExpired
	// KindNotYetValid means that the certificate of the peer is not valid yet, if the clock here is
	// right.
	KindNotYetValid
	// KindName means that the certificate of the server is for other names.
	KindName
	// KindUsage means that the certificate of the peer is not for this use.
	KindUsage
	// KindRefused means that the peer has refused the certificate that was shown here.
	KindRefused
	// KindRequired means that the server requires a certificate, and the client has shown none.
	KindRequired
)

// Failure is the error of a handshake that has failed because certificates or settings do not fit
// together.
type Failure struct {
	Kind Kind
	// Reason says what is wrong, and Advice what to do.
	Reason, Advice string
	// From is the first moment at which the certificate of the peer is valid, and Until the last.
	// Both are zero if the certificate is not known.
	From, Until time.Time

	err error // error of crypto/tls
}

func (f *Failure) Error() string { return "tls: " + f.Reason + "; " + f.Advice }

// Unwrap returns the error of crypto/tls.
func (f *Failure) Unwrap() error { return f.err }

// explain returns what the error of a handshake means. peer is the word for the other end: server or
// client. It returns nil for errors of the network. The text of the result does not depend on the
// time or on the port, so that equal failures have equal texts.
func explain(err error, peer string) *Failure {
	f := &Failure{err: err}
	switch {
	case f.explainShown(err, peer):
	case f.explainSettings(err, peer):
	case isAlert(err):
		f.explainAlert(err.Error(), peer)
	case strings.Contains(err.Error(), "tls: "):
		_, text, _ := strings.Cut(err.Error(), "tls: ")
		f.Reason, f.Advice = "the handshake with the "+peer+" failed: "+text, "check the certificates and settings of both sides"
	default:
		return nil
	}
	return f
}

// explainShown explains what is wrong with the certificate of the peer. It returns false if that is
// not the cause of the error.
func (f *Failure) explainShown(err error, peer string) bool {
	if v, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(v.UnverifiedCertificates) > 0 {
		f.From, f.Until = v.UnverifiedCertificates[0].NotBefore, v.UnverifiedCertificates[0].NotAfter
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		f.Kind = KindUnknownAuthority
		f.Reason = "the certificate of the " + peer + " is signed by an authority that is not among the roots here" + issuer(unknown.Cert)
		f.Advice = "add the certificate of this authority to the roots, or issue the " + peer + " a certificate of an authority in them"
		return true
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		f.Kind = KindName
		f.Reason = "the certificate of the " + peer + " is valid for " + namesOf(host.Certificate) + ", not for " + host.Host
		f.Advice = "dial one of these names, set one as the server name, or issue a certificate for " + host.Host
		return true
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		f.explainInvalid(invalid, peer)
		return true
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		f.Kind, f.Reason = KindUsage, "the certificate of the "+peer+" "+usage.text
		f.Advice = "issue the " + peer + " a certificate of its own"
		return true
	}
	return false
}

func (f *Failure) explainInvalid(invalid x509.CertificateInvalidError, peer string) {
	f.Advice = "issue the " + peer + " a new certificate, or set the clock here if it is wrong"
	if invalid.Cert != nil {
		f.From, f.Until = invalid.Cert.NotBefore, invalid.Cert.NotAfter
	}
	switch {
	case invalid.Reason == x509.Expired && invalid.Cert != nil && strings.Contains(invalid.Detail, "is before"):
		f.Kind, f.Reason = KindNotYetValid, fmt.Sprintf("the certificate of the %s, or of its authority, is valid only from %s on", peer, stamp(f.From))
		f.Advice = "set the clock here if it is wrong, or wait"
	case invalid.Reason == x509.Expired && invalid.Cert != nil:
		f.Kind, f.Reason = KindExpired, fmt.Sprintf("the certificate of the %s, or of its authority, expired at %s", peer, stamp(f.Until))
	case invalid.Reason == x509.IncompatibleUsage:
		f.Kind, f.Reason = KindUsage, "the certificate of the "+peer+" is not for a "+peer
		f.Advice = "issue a certificate whose extended key usage permits " + peer + " authentication"
	default:
		f.Kind, f.Reason = KindOther, "the certificate of the "+peer+" is not valid: "+invalid.Error()
		f.Advice = "issue the " + peer + " a certificate that its authority may sign"
	}
}

// explainSettings explains that both sides do not speak the same protocol. It returns false if that
// is not the cause of the error.
func (f *Failure) explainSettings(err error, peer string) bool {
	_, plaintext := errors.AsType[tls.RecordHeaderError](err)
	text := err.Error()
	switch {
	case plaintext || strings.Contains(text, "first record does not look like a TLS handshake"):
		f.Kind, f.Reason, f.Advice = KindPlaintext, "the "+peer+" does not speak TLS: first record does not look like a TLS handshake", "give the "+peer+" a certificate, or use plaintext on both sides"
	case strings.Contains(text, "protocol version") || strings.Contains(text, "unsupported versions"):
		f.Kind, f.Reason, f.Advice = KindVersion, "the "+peer+" does not speak a version of TLS that is allowed here", "use TLS 1.3 on both sides"
	case strings.Contains(text, "ALPN") || strings.Contains(text, "application protocol") || strings.Contains(text, "no application protocol"):
		f.Kind, f.Reason, f.Advice = KindVersion, "the "+peer+" does not offer HTTP/2 by ALPN, which gRPC requires", "use a "+peer+" that speaks gRPC, and no proxy that removes ALPN"
	default:
		return false
	}
	return true
}

// isAlert reports whether err is an alert of the peer. crypto/tls exports no type for it.
func isAlert(err error) bool { return strings.Contains(err.Error(), "remote error: tls: ") }

// explainAlert explains the alert with which the peer has refused us. The end of the text is one of
// the alerts of crypto/tls.
func (f *Failure) explainAlert(text, peer string) {
	_, alert, _ := strings.Cut(text, "remote error: tls: ")
	f.Kind, f.Reason = KindRefused, "the "+peer+" refuses our certificate: remote error: tls: "+alert
	switch alert {
	case "certificate required":
		f.Kind, f.Reason = KindRequired, "the "+peer+" requires a client certificate, and none was shown: remote error: tls: "+alert
		f.Advice = "give a certificate and key that the " + peer + " trusts"
	case "unknown certificate authority":
		f.Advice = "use a certificate of an authority that the " + peer + " trusts, or add the authority to the roots of the " + peer
	case "expired certificate":
		f.Advice = "issue a new certificate, or set the clock of the " + peer + " if it is wrong"
	case "bad certificate", "unsupported certificate", "revoked certificate", "unknown certificate":
		f.Advice = "use a certificate that is valid now and for this use, and that fits the names which the " + peer + " expects"
	default:
		f.Kind, f.Reason = KindOther, "the "+peer+" ended the handshake: remote error: tls: "+alert
		f.Advice = "check the certificates and settings of both sides"
	}
}

// issuer returns the words that name the issuer of a certificate.
func issuer(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	if c.Issuer.String() == c.Subject.String() {
		return " (it signs itself: " + c.Subject.String() + ")"
	}
	return " (" + c.Issuer.String() + ")"
}

// maxNames is the largest number of names of a certificate in a text.
const maxNames = 8

// namesOf returns the names and addresses in a certificate.
func namesOf(c *x509.Certificate) string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no name"
	}
	if more := len(all) - maxNames; more > 0 {
		all = append(all[:maxNames], fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, ", ")
}

// usageError says that a certificate of a peer must not be used as such.
type usageError struct{ text string }

func (e *usageError) Error() string { return "tls: the certificate of the peer " + e.text }

// verifyServer refuses what crypto/x509 accepts, and RFC 8446 does not: a certificate whose key may
// not sign a handshake.
func verifyServer(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	if leaf := state.PeerCertificates[0]; leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 && state.Version >= tls.VersionTLS13 {
		return &usageError{"may not sign handshakes (its key usage has no digital signature)"}
	}
	return nil
}

// verifyClient also refuses the certificate of an authority. Who has the key of an authority could
// be everybody.
func verifyClient(state tls.ConnectionState) error {
	if err := verifyServer(state); err != nil || len(state.PeerCertificates) == 0 {
		return err
	}
	if state.PeerCertificates[0].IsCA {
		return &usageError{"is that of an authority"}
	}
	return nil
}
