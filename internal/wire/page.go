package wire

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/health"
)

// pageTokens makes and parses the page tokens of one kind. A token is the prefix, a digest of the
// request, and the name of the last element of a page, in base64.
type pageTokens struct {
	prefix string
	max    int    // largest length of a token, in bytes
	scope  string // what the digest is of, in words
}

var (
	namePages = pageTokens{prefix: "p1:", max: 4 + (MaxFullName+len("p1:")+4)*4/3, scope: "selector or group_by"}
	// The longest text is the type and the name of an xDS resource.
	textPages = pageTokens{prefix: "x1:", max: 4096, scope: "request"}
)

// make returns the token for the page that begins after the element named last.
func (p *pageTokens) make(scope uint32, last string) string {
	b := binary.BigEndian.AppendUint32([]byte(p.prefix), scope)
	return base64.RawURLEncoding.EncodeToString(append(b, last...))
}

// parse returns the name in a token. ok is false if the token is empty or not valid.
func (p *pageTokens) parse(v *Violations, token string, scope uint32) (last string, ok bool) {
	if token == "" {
		return "", false
	}
	head := len(p.prefix) + 4
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > p.max || len(b) < head || string(b[:len(p.prefix)]) != p.prefix {
		v.Add("page_token", "is not one that was handed out; allowed: the next_page_token of the page before")
		return "", false
	}
	if binary.BigEndian.Uint32(b[len(p.prefix):]) != scope {
		v.Add("page_token", "is that of another %s; allowed: the next_page_token of the page before", p.scope)
		return "", false
	}
	return string(b[head:]), true
}

// TextToken returns the token for the page that begins after the element named last. The token is
// valid only for a request with the same PageScope.
func TextToken(last string, scope uint32) string { return textPages.make(scope, last) }

// ParseTextToken returns the name of the element after which the page begins. It is empty for the first
// page.
func ParseTextToken(v *Violations, token string, scope uint32) (after string) {
	after, _ = textPages.parse(v, token, scope)
	return after
}

// pageTokenOf returns the token for the page that begins after the name id. The token is valid only
// with the same selector. scope is a digest of the selector.
func pageTokenOf(scope uint32, id health.ID) string {
	return namePages.make(scope, id.String())
}

// pageToken parses a page token, and returns the name after which the page begins. first is true if
// the token is empty or not valid. In this case the page is the first one.
func pageToken(v *Violations, token string, scope uint32) (after health.ID, first bool) {
	name, ok := namePages.parse(v, token, scope)
	if !ok {
		return health.ID{}, true
	}
	return health.ParseID(name), false
}

// PageScope returns a digest of the fields of a request that must be the same for all pages. The digest
// protects only against mistakes, because a caller can find another request with the same digest.
func PageScope(request proto.Message) uint32 {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return 0
	}
	return crc32.ChecksumIEEE(b)
}
