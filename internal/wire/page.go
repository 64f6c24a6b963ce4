package wire

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

const (
	pagePrefix = "p1:"
	pageHead   = len(pagePrefix) + 4
)

// maxPageToken is the largest length of a page token, in bytes. The token is a prefix and a full
// name in base64.
const maxPageToken = 4 + (MaxFullName+pageHead)*4/3

// pageTokenOf returns the token for the page that begins after the name id. The token is valid only
// with the same selector. scope is a digest of the selector.
func pageTokenOf(scope uint32, id health.ID) string {
	b := binary.BigEndian.AppendUint32([]byte(pagePrefix), scope)
	return base64.RawURLEncoding.EncodeToString(append(b, id.String()...))
}

// pageToken parses a page token, and returns the name after which the page begins. first is true if
// the token is empty or not valid. In this case the page is the first one.
func pageToken(v *Violations, token string, scope uint32) (after health.ID, first bool) {
	if token == "" {
		return health.ID{}, true
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > maxPageToken || len(b) < pageHead || string(b[:len(pagePrefix)]) != pagePrefix {
		v.Add("page_token", "is not one that was handed out; allowed: the next_page_token of the page before")
		return health.ID{}, true
	}
	if binary.BigEndian.Uint32(b[len(pagePrefix):]) != scope {
		v.Add("page_token", "is that of another selector; allowed: the next_page_token of the page before")
		return health.ID{}, true
	}
	return health.ParseID(string(b[pageHead:])), false
}

// scopeOf returns a digest of a selector. The digest protects only against mistakes, because a
// caller can find another selector with the same digest.
func scopeOf(s *pb.Selector) uint32 {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	if err != nil {
		return 0
	}
	return crc32.ChecksumIEEE(b)
}
