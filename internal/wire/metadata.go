package wire

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// The metadata by which a server proves that an answer comes from the process with a certain key.
const (
	// NonceHeader is a request header with 1 to MaxNonce random bytes, the nonce.
	NonceHeader = "meshhealth-nonce-bin"
	// ProofHeader is a response header with the proof of the process key for the nonce.
	ProofHeader = "meshhealth-proof-bin"
	// MaxNonce is the largest length of a nonce in bytes.
	MaxNonce = 64
)

// The keys of the trailers that Check of grpc.health.v1 sends, because the response has no fields
// for these values: the exact status, its cause, and "true" if the status is unconfirmed.
const (
	TrailerStatus      = "meshhealth-status"
	TrailerCause       = "meshhealth-cause"
	TrailerUnconfirmed = "meshhealth-unconfirmed"
)

// WithNonce returns a context whose outgoing calls have the header NonceHeader with this nonce.
func WithNonce(ctx context.Context, nonce []byte) context.Context {
	return metadata.AppendToOutgoingContext(ctx, NonceHeader, string(nonce))
}

// NonceOf returns the nonce of an incoming call, or nil if the call has none. If the nonce is not
// valid, the error has the code INVALID_ARGUMENT.
func NonceOf(ctx context.Context) ([]byte, error) {
	values := metadata.ValueFromIncomingContext(ctx, NonceHeader)
	if values == nil {
		return nil, nil
	}
	var v Violations
	switch n := len(values[0]); {
	case len(values) > 1:
		v.Add(NonceHeader, "is given %d times; allowed: once", len(values))
	case n == 0 || n > MaxNonce:
		v.Add(NonceHeader, "has %d bytes; allowed: 1 to %d", n, MaxNonce)
	}
	return []byte(values[0]), v.Err()
}

// ProofOf returns the proof in the header of an answer. It returns nil if there is no proof, or more
// than one.
func ProofOf(header metadata.MD) []byte {
	values := header.Get(ProofHeader)
	if len(values) != 1 {
		return nil
	}
	return []byte(values[0])
}
