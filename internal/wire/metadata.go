package wire

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// Keys and limits of the metadata with which a server proves that it knows a process key, the
// secret of the registered process.
const (
	// NonceHeader is the key of the nonce in the metadata of a request. A nonce is 1 to MaxNonce
	// random bytes.
	NonceHeader = "meshhealth-nonce-bin"
	// ProofHeader is the key of the proof in the header of the answer. The proof is the result
	// of health.Key.Proof for the nonce.
	ProofHeader = "meshhealth-proof-bin"
	// MaxNonce is the largest length of a nonce in bytes.
	MaxNonce = 64
)

// Keys of the trailers of Check of grpc.health.v1. They carry values for which the response has no
// fields. A server sends all three trailers or none. An answer without trailers has the status of
// its message, and is confirmed. A meshhealth server sends such an answer only for SERVING with the
// cause ok.
const (
	// TrailerStatus is the key of the exact status: the result of health.Status.String.
	TrailerStatus = "meshhealth-status"
	// TrailerCause is the key of the cause: the result of health.Cause.String.
	TrailerCause = "meshhealth-cause"
	// TrailerUnconfirmed is the key of "true" or "false". "true" means that the status is an earlier
	// one that is not confirmed now.
	TrailerUnconfirmed = "meshhealth-unconfirmed"
)

// WithNonce returns a copy of ctx. Calls with the copy send the nonce.
func WithNonce(ctx context.Context, nonce []byte) context.Context {
	return metadata.AppendToOutgoingContext(ctx, NonceHeader, string(nonce))
}

// NonceOf returns the nonce of an incoming call, or nil if the call has no nonce. The error for
// an invalid nonce has the code INVALID_ARGUMENT.
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

// ProofOf returns the proof in the header of an answer. It returns nil if the header has no proof
// or several proofs.
func ProofOf(header metadata.MD) []byte {
	values := header.Get(ProofHeader)
	if len(values) != 1 {
		return nil
	}
	return []byte(values[0])
}
