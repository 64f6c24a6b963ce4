package watch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// about says what an error tells something about.
type about uint8

const (
	nothing       about = iota // it ended; what follows is the evidence
	ourselves                  // we cannot, or did not want to
	path                       // the way to the target
	refusal                    // the target's host says that nobody listens
	configuration              // only a change of configuration can mend it
	unimplemented              // the target does not know this service
	unknownName                // the target does not know this health name
	notAsked                   // we did not come to it
)

// finding is what an error comes to.
type finding struct {
	about  about
	cause  health.Cause // of a configuration
	reason string
	// waited: it is a wait that ended in vain, which may have been our fault.
	waited bool
}

// errSilent ends a stream that has missed its heartbeats.
var errSilent = errors.New("nothing was heard for too long")

// classifyDial judges why there is no connection.
func classifyDial(err error) finding {
	reason := wire.Clean(err.Error())
	switch {
	case errors.Is(err, context.Canceled):
		return finding{about: ourselves}
	case errors.Is(err, errCrowded):
		return finding{about: notAsked, reason: reason}
	case errors.Is(err, wire.ErrTarget):
		return finding{about: configuration, cause: health.CauseUnreachable, reason: reason}
	case errors.Is(err, syscall.ECONNREFUSED):
		return finding{about: refusal, reason: reason}
	case exhausted(err):
		return finding{about: ourselves, reason: reason}
	case timedOut(err):
		return finding{about: path, reason: reason, waited: true}
	case strings.Contains(err.Error(), "frame too large"): // what came is no HTTP/2
		return finding{about: configuration, cause: health.CauseUnimplemented, reason: reason}
	case speaksOtherwise(err):
		return finding{about: configuration, cause: health.CauseTLS, reason: reason}
	}
	return finding{about: path, reason: reason}
}

// exhausted reports whether we, not the target, lack something. Of what kept a
// name from being looked up the resolver keeps the text only.
func exhausted(err error) bool {
	var dns *net.DNSError
	lookup := errors.As(err, &dns)
	for _, lack := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
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

// speaksOtherwise reports whether both sides disagree about TLS.
func speaksOtherwise(err error) bool {
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
	// Where the errors have no types: TLS's own, and a handshake without ALPN.
	text := err.Error()
	return strings.Contains(text, "tls: ") || strings.Contains(text, "missing selected ALPN property")
}

// classifyCall judges why a call or a stream over a connection ended. heard
// says whether it had delivered a message.
func classifyCall(err error, heard bool) finding {
	if errors.Is(err, errSilent) {
		return finding{about: path, reason: errSilent.Error(), waited: true}
	}
	if errors.Is(err, io.EOF) {
		return finding{about: nothing}
	}
	st := status.Convert(err)
	reason := wire.Clean(st.Code().String() + ": " + st.Message())
	switch st.Code() {
	case codes.OK, codes.Canceled:
		return finding{about: nothing}
	case codes.Unimplemented:
		return finding{about: unimplemented, cause: health.CauseUnimplemented, reason: reason}
	case codes.NotFound:
		return finding{about: unknownName, cause: health.CauseUnknownName, reason: reason}
	case codes.Unauthenticated, codes.PermissionDenied:
		return finding{about: configuration, cause: health.CauseUnauthenticated, reason: reason}
	case codes.DeadlineExceeded:
		return finding{about: path, reason: reason, waited: true}
	}
	if malformed(st) {
		return finding{about: configuration, cause: health.CauseUnimplemented, reason: reason}
	}
	if heard {
		return finding{about: nothing}
	}
	return finding{about: path, reason: reason}
}

// malformed reports whether what came was no answer in our protocol. These are
// the client's own errors, recognised by their texts.
func malformed(st *status.Status) bool {
	text := st.Message()
	switch st.Code() {
	case codes.Internal:
		return strings.Contains(text, "failed to unmarshal") || strings.Contains(text, "failed to decompress")
	case codes.ResourceExhausted:
		return strings.Contains(text, "received message larger than max")
	case codes.Unknown:
		return strings.Contains(text, "malformed header") || strings.Contains(text, "unexpected HTTP status code") ||
			strings.Contains(text, "unexpected content-type")
	}
	return false
}
