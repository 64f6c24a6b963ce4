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
	binary.BigEndian.PutUint64(b[1:], t.Epoch)
	binary.BigEndian.PutUint64(b[9:], t.Revision)
	binary.BigEndian.PutUint64(b[17:], t.Scope)
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
	return Token{
		Epoch:    binary.BigEndian.Uint64(b[1:]),
		Revision: binary.BigEndian.Uint64(b[9:]),
		Scope:    binary.BigEndian.Uint64(b[17:]),
	}, true
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

// TokenCipher encrypts resume tokens, so that a client cannot read the revision in them. Equal tokens have
// equal texts. A TokenCipher is safe for concurrent use.
type TokenCipher struct{ block cipher.Block }

const sealedVersion = 2

// NewTokenCipher returns a cipher with a random key. So its tokens are valid as long as the process runs.
func NewTokenCipher() *TokenCipher {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // impossible, because the key has 16 bytes
	}
	return &TokenCipher{block}
}

// Encode returns the token as a text that Decode can parse.
func (c *TokenCipher) Encode(t Token) string {
	b := [tokenLen]byte{sealedVersion}
	binary.BigEndian.PutUint64(b[1:], t.Epoch)
	binary.BigEndian.PutUint64(b[9:], t.Revision)
	binary.BigEndian.PutUint64(b[17:], t.Scope)
	c.block.Encrypt(b[1:17], b[1:17])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Decode parses a token. ok is false for a text of another form. A text that Encode did not return has a
// random Epoch.
func (c *TokenCipher) Decode(s string) (t Token, ok bool) {
	if len(s) > MaxToken {
		return Token{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != tokenLen || b[0] != sealedVersion {
		return Token{}, false
	}
	c.block.Decrypt(b[1:17], b[1:17])
	return Token{
		Epoch:    binary.BigEndian.Uint64(b[1:]),
		Revision: binary.BigEndian.Uint64(b[9:]),
		Scope:    binary.BigEndian.Uint64(b[17:]),
	}, true
}
