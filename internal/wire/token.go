package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// Token is the content of a resume token: a position in the feed of a coordinator. Scope is a digest
// of what the request selects. A token with another Scope than the request is not accepted.
type Token struct {
	Epoch    uint64
	Revision uint64
	Scope    uint64
}

const (
	tokenVersion = 1
	tokenLen     = 1 + 3*8
)

// Encode returns the token as a text that DecodeToken can parse.
func (t Token) Encode() string {
	b := [tokenLen]byte{tokenVersion}
	t.put(b[1:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// DecodeToken parses a token. ok is false for any text that Encode did not return.
func DecodeToken(s string) (t Token, ok bool) {
	if len(s) > MaxToken {
		return Token{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != tokenLen || b[0] != tokenVersion {
		return Token{}, false
	}
	return tokenIn(b[1:]), true
}

// put writes the fields of the token to b, which has room for them.
func (t Token) put(b []byte) {
	binary.BigEndian.PutUint64(b, t.Epoch)
	binary.BigEndian.PutUint64(b[8:], t.Revision)
	binary.BigEndian.PutUint64(b[16:], t.Scope)
}

// tokenIn returns the token whose fields put has written to b.
func tokenIn(b []byte) Token {
	return Token{
		Epoch:    binary.BigEndian.Uint64(b),
		Revision: binary.BigEndian.Uint64(b[8:]),
		Scope:    binary.BigEndian.Uint64(b[16:]),
	}
}

// Scope returns a digest of the names and the selector in a Watch request.
func Scope(req *pb.WatchRequest) uint64 {
	asked := &pb.WatchRequest{Names: req.GetNames(), Selector: req.GetSelector()}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(asked)
	if err != nil {
		return 0
	}
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// TokenCipher encrypts tokens, so that a client cannot read the numbers in them. Equal tokens have different
// texts. Otherwise a client could see from two tokens whether something has changed between them. A
// TokenCipher is safe for concurrent use.
type TokenCipher struct{ sealer cipher.AEAD }

const sealedVersion = 2

// NewTokenCipher returns a cipher with a random key. So its tokens are valid as long as the process runs.
func NewTokenCipher() *TokenCipher {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // impossible, because the key has 16 bytes
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // impossible, because the blocks of AES have 16 bytes
	}
	return &TokenCipher{sealer}
}

// Encode returns the token as a text that Decode can parse.
func (c *TokenCipher) Encode(t Token) string {
	var b [tokenLen - 1]byte
	t.put(b[:])
	return base64.RawURLEncoding.EncodeToString(c.sealer.Seal([]byte{sealedVersion}, nil, b[:], nil)) // #nosec G407 -- the sealer makes a random nonce itself
}

// Decode parses a token. ok is false for any text that Encode of the same cipher did not return.
func (c *TokenCipher) Decode(s string) (t Token, ok bool) {
	if len(s) > MaxToken {
		return Token{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) == 0 || b[0] != sealedVersion {
		return Token{}, false
	}
	if b, err = c.sealer.Open(nil, nil, b[1:], nil); err != nil || len(b) != tokenLen-1 {
		return Token{}, false
	}
	return tokenIn(b), true
}
