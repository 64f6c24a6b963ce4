package xds

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// version identifies the content of a resource. The lowest three bits are 0, because a subscription
// uses them. Values up to unknownVersion have a meaning of their own.
type version uint64

const (
	// neverSent means that a client got nothing about the resource.
	neverSent version = 0
	// sentAbsent means that a client was told that the resource does not exist.
	sentAbsent version = 1 << 3
	// unknownVersion stands for content that a client has from an earlier coordinator, if its
	// version has another form.
	unknownVersion version = 2 << 3
)

// versionOf returns the version of content that is given in parts. It is a hash.
func versionOf(parts ...[]byte) version {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	v := version(binary.BigEndian.Uint64(h.Sum(nil))) &^ 7
	return max(v, unknownVersion+8)
}

// String returns the version as a client gets it.
func (v version) String() string { return fmt.Sprintf("%016x", uint64(v)) }

// parseVersion parses a version that a client has got.
func parseVersion(text string) version {
	n, err := strconv.ParseUint(text, 16, 64)
	if v := version(n); err == nil && len(text) == 16 && v&7 == 0 && v > unknownVersion {
		return v
	}
	return unknownVersion
}

// real reports whether the client has content of this version.
func (v version) real() bool { return v >= unknownVersion }

// content is a resource, encoded for its canonical name. It is immutable.
type content struct {
	version version
	// changed is the time at which the content was published.
	changed time.Time
	// fragment is the field "resources" of a DeltaDiscoveryResponse, with one Resource. Its end,
	// from the index any on, is the field "resources" of a DiscoveryResponse. The two fields have
	// the same number, and the field of a Resource that has the content has this number too.
	fragment []byte
	any      int
	// body is the end of fragment without the name of the resource. It is nil unless the content is
	// an endpoint set.
	body []byte
}

// The numbers of the fields that are encoded here.
const (
	fieldResources       protowire.Number = 2 // of both responses
	fieldResourceVersion protowire.Number = 1
	fieldResourceContent protowire.Number = 2
	fieldResourceName    protowire.Number = 3
	fieldAnyURL          protowire.Number = 1
	fieldAnyValue        protowire.Number = 2
)

// newContent encodes a resource. The message is given in two parts, which are joined.
func newContent(k kind, name string, head, body []byte, changed time.Time) *content {
	v := versionOf(head, body)
	fragment, start := encode(k, name, v, head, body)
	return &content{version: v, changed: changed, fragment: fragment, any: start, body: fragment[len(fragment)-len(body):]}
}

// encode returns the field "resources" with one resource, and the index at which the field with the
// content begins.
func encode(k kind, name string, v version, head, body []byte) (fragment []byte, start int) {
	anyHead := protowire.AppendTag(nil, fieldAnyURL, protowire.BytesType)
	anyHead = protowire.AppendString(anyHead, k.url())
	anyHead = protowire.AppendTag(anyHead, fieldAnyValue, protowire.BytesType)
	anyHead = protowire.AppendVarint(anyHead, uint64(len(head)+len(body)))
	anySize := len(anyHead) + len(head) + len(body)

	inner := protowire.AppendTag(nil, fieldResourceName, protowire.BytesType)
	inner = protowire.AppendString(inner, name)
	inner = protowire.AppendTag(inner, fieldResourceVersion, protowire.BytesType)
	inner = protowire.AppendString(inner, v.String())
	begin := len(inner)
	inner = protowire.AppendTag(inner, fieldResourceContent, protowire.BytesType)
	inner = protowire.AppendVarint(inner, uint64(anySize))

	size := len(inner) + anySize
	fragment = make([]byte, 0, 1+protowire.SizeVarint(uint64(size))+size)
	fragment = protowire.AppendTag(fragment, fieldResources, protowire.BytesType)
	fragment = protowire.AppendVarint(fragment, uint64(size))
	start = len(fragment) + begin
	for _, part := range [][]byte{inner, anyHead, head, body} {
		fragment = append(fragment, part...)
	}
	return fragment, start
}

// marshal encodes a message of a generated resource. The result is the same on every machine.
func marshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // it fails only for invalid UTF-8, and the names of services, zones and hosts are checked
	}
	return b
}
