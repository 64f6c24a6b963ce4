package follow

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// errCrowded is the error of an attempt to connect that waited too long for a dial slot (a
// permit to dial).
var errCrowded = errors.New("the coordinator has too much to dial, and has not dialled the target")

// errSpeaksTLS is the error of an attempt to connect without TLS to a target that answers with
// TLS.
var errSpeaksTLS = errors.New("tls: the target speaks TLS, and is followed in plaintext")

// changing matches the parts of an error text that differ between attempts: the local
// address with its port, and the time. These parts are removed, because otherwise each new
// text would be published as a change.
var changing = regexp.MustCompile(`\S+:[0-9]+->|: current time \S+ is (after|before) \S+`)

// classifyDial returns what the error of an attempt to connect shows about the target.
func classifyDial(err error) finding {
	reason := wire.Clean(changing.ReplaceAllString(err.Error(), ""))
	switch {
	case errors.Is(err, context.Canceled):
		return finding{kind: ownFault}
	case errors.Is(err, errCrowded):
		return finding{kind: notDialled, reason: reason}
	case errors.Is(err, wire.ErrTarget):
		return finding{kind: misconfigured, cause: health.CauseUnreachable, reason: reason}
	case errors.Is(err, syscall.ECONNREFUSED):
		return finding{kind: connRefused, reason: reason}
	case lacksResources(err):
		return finding{kind: ownFault, reason: reason}
	case timedOut(err):
		return finding{kind: pathFault, reason: reason, waited: true}
	case strings.Contains(err.Error(), "frame too large"): // the answer is not HTTP/2
		return finding{kind: misconfigured, cause: health.CauseUnimplemented, reason: reason}
	case tlsMismatch(err):
		return finding{kind: misconfigured, cause: health.CauseTLS, reason: reason}
	}
	return finding{kind: pathFault, reason: reason}
}

// lacksResources reports whether an attempt to connect failed because the coordinator lacks a
// resource, such as file descriptors. A missing local address, or an address family without a
// route, does not count, because other targets can still be reached. The error of a failed
// name lookup contains the system error only as text.
func lacksResources(err error) bool {
	var dns *net.DNSError
	lookup := errors.As(err, &dns)
	for _, lack := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, lack) || lookup && strings.HasSuffix(dns.Err, lack.Error()) {
			return true
		}
	}
	return false
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &n) && n.Timeout()
}

// tlsMismatch reports whether an attempt failed because the TLS settings of the coordinator
// and of the target do not fit together.
func tlsMismatch(err error) bool {
	var (
		header  tls.RecordHeaderError
		alert   tls.AlertError
		verify  *tls.CertificateVerificationError
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	for _, as := range []any{&header, &alert, &verify, &invalid, &host, &unknown} {
		if errors.As(err, as) {
			return true
		}
	}
	// The errors of crypto/tls, and the error of a handshake without ALPN, have no
	// exported type.
	text := err.Error()
	return strings.Contains(text, "tls: ") || strings.Contains(text, "missing selected ALPN property")
}
