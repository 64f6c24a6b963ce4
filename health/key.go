package health

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
)

// KeyBytes is the length of a Key in bytes.
const KeyBytes = sha256.Size

// Key is the secret of one process. The process sends its Key with its registration. Later
// it uses the Key to prove that an answer comes from this process. No verb of package fmt
// prints the secret: each writes "[key]". Package json writes an empty object. The zero
// value means that there is no key.
type Key struct {
	// secret is a pointer, so that package fmt does not print the secret in places where it
	// cannot call Format. nil means that there is no key.
	secret *[KeyBytes]byte
}

// proofOf is the prefix of each text that a process signs to prove that it has its Key. A
// signature for another purpose needs another prefix. Otherwise somebody could present this
// signature as a proof.
const proofOf = "meshhealth.v1 proof"

// KeyFrom returns the key that has the given secret of KeyBytes bytes. An empty secret gives
// the zero Key. Other lengths are an error.
func KeyFrom(secret []byte) (Key, error) {
	switch len(secret) {
	case 0:
		return Key{}, nil
	case KeyBytes:
		held := [KeyBytes]byte(secret)
		return Key{&held}, nil
	}
	return Key{}, fmt.Errorf("has %d bytes; allowed: %d, or none", len(secret), KeyBytes)
}

// Bytes returns a copy of the secret. It returns nil for the zero Key.
func (k Key) Bytes() []byte {
	return append([]byte(nil), k.text()...)
}

// IsZero reports whether k is the zero Key.
func (k Key) IsZero() bool { return k.secret == nil }

// text returns the secret without a copy. It returns nil for the zero Key.
func (k Key) text() []byte {
	if k.IsZero() {
		return nil
	}
	return k.secret[:]
}

// Equal reports whether both keys are the same. The comparison takes constant time.
func (k Key) Equal(other Key) bool {
	return subtle.ConstantTimeCompare(k.text(), other.text()) == 1
}

// Proof returns the HMAC-SHA256 of a nonce, signed with k. The peer that has sent the nonce
// verifies the proof. A valid proof shows that the answer comes from a process that has k.
func (k Key) Proof(nonce []byte) []byte {
	mac := hmac.New(sha256.New, k.text())
	mac.Write([]byte(proofOf))
	mac.Write(nonce)
	return mac.Sum(nil)
}

// Proves reports whether proof is the result of k.Proof(nonce). The comparison takes constant
// time. Proves returns false for the zero Key.
func (k Key) Proves(nonce, proof []byte) bool {
	return !k.IsZero() && hmac.Equal(k.Proof(nonce), proof)
}

// Format implements fmt.Formatter, so that no verb prints the secret.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[key]")) }
