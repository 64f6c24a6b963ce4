package main

import (
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/certs"
)

// handshakeFailure returns the failure of the last handshake if message is the error of a call that
// failed because of it, or else nil. A server that refuses our certificate closes the connection, so
// that the call may fail with the error of a write.
func (t *target) handshakeFailure(message string) *certs.Failure {
	if t.failed == nil {
		return nil
	}
	for _, sign := range []string{"tls: ", "broken pipe", "reset by peer", "EOF"} {
		if strings.Contains(message, sign) {
			return t.failed()
		}
	}
	return nil
}

// handshakeError converts a failed handshake with the coordinator into an error for the user. now is
// the time on the clock of this machine.
func (t *target) handshakeError(f *certs.Failure, now time.Time) error {
	return hinted(t.handshakeHint(f, now.UTC().Format(time.RFC3339)), "cannot reach a coordinator at %s: tls: %s", t.address, f.Reason)
}

// handshakeHint says what to do about a failed handshake, in terms of the flags. clock is the time on
// this machine.
func (t *target) handshakeHint(f *certs.Failure, clock string) string {
	switch f.Kind {
	case certs.KindPlaintext:
		return "It uses plaintext. Leave the TLS flags out; for another machine, give --insecure."
	case certs.KindUnknownAuthority:
		if t.tls.CA == "" {
			return "Give the certificate of its authority: --tls-ca FILE. Without it, only the roots of this system count."
		}
		return "Check --tls-ca: it needs the certificate of the authority that has signed the coordinator's. `meshhealth cert show FILE` shows both."
	case certs.KindExpired:
		return "Renew it on the coordinator (`meshhealth cert issue coordinator`, or your authority). The clock here says " + clock + ": set it if it is wrong."
	case certs.KindNotYetValid:
		return "The clock here says " + clock + ": set it if it is wrong. If it is right, wait, or issue another certificate."
	case certs.KindName:
		return "Name one of these: --server-name NAME, or in --coordinator. Or issue one for this name: `meshhealth cert issue coordinator --host NAME`."
	case certs.KindUsage:
		return "Issue the coordinator a certificate for servers: `meshhealth cert issue coordinator`, or your authority."
	case certs.KindRequired:
		return "Give yours: --tls-cert FILE and --tls-key FILE. `meshhealth cert issue operator NAME` makes one."
	case certs.KindRefused:
		return t.refusedHint(f, clock)
	default:
		return strings.ToUpper(f.Advice[:1]) + f.Advice[1:] + "."
	}
}

// refusedHint says what to do about a certificate of ours that the coordinator refuses.
func (t *target) refusedHint(f *certs.Failure, clock string) string {
	switch {
	case strings.HasSuffix(f.Reason, "expired certificate"):
		return "Renew --tls-cert. The clock here says " + clock + ": if that is right, and the certificate is valid, set the clock of the coordinator."
	case strings.HasSuffix(f.Reason, "unknown certificate authority"):
		return "Give a certificate (--tls-cert, --tls-key) whose authority is in client_ca (--tls-client-ca) of the coordinator, or add its authority there."
	}
	return "Check --tls-cert: it must be for clients, and its authority must be in client_ca (--tls-client-ca) of the coordinator. `meshhealth cert show FILE` shows it."
}
