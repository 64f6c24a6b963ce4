package api

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	textPrefix = "x1:"
	// maxTextToken is the largest number of bytes of a token with a text. The longest text is the
	// type and the name of an xDS resource.
	maxTextToken = 4096
)

// newTextToken returns the token for the page that begins after the element named last. The token is
// valid only for a request with the same scope.
func newTextToken(last string, scope uint32) string {
	b := binary.BigEndian.AppendUint32([]byte(textPrefix), scope)
	return base64.RawURLEncoding.EncodeToString(append(b, last...))
}

// textToken returns the name of the element after which the page begins. It is empty for the first page.
func textToken(v *wire.Violations, token string, scope uint32) (after string) {
	if token == "" {
		return ""
	}
	const head = len(textPrefix) + 4
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > maxTextToken || len(b) < head || string(b[:len(textPrefix)]) != textPrefix {
		v.Add("page_token", "is not one that was handed out; allowed: the next_page_token of the page before")
		return ""
	}
	if binary.BigEndian.Uint32(b[len(textPrefix):]) != scope {
		v.Add("page_token", "is that of another request; allowed: the next_page_token of the page before")
		return ""
	}
	return string(b[head:])
}

// scopeOf returns a digest of the fields of a request that must be the same for all pages.
func scopeOf(req proto.Message) uint32 {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return 0
	}
	return crc32.ChecksumIEEE(b)
}
