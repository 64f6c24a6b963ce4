package xds

import (
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Codec returns the codec for protobuf messages with one difference: it does not copy the resources of
// a response. It is meant for grpc.ForceServerCodecV2. The server also works without it, but then it
// needs more CPU time and memory for each client.
func (*Server) Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2(proto.Name)} }

type codec struct{ encoding.CodecV2 }

// Marshal encodes a message. The resources are in the unknown fields of a response, which end its
// encoded form.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	var m protoreflect.Message
	switch v := v.(type) {
	case *discoverypb.DeltaDiscoveryResponse:
		m = v.ProtoReflect()
	case *discoverypb.DiscoveryResponse:
		m = v.ProtoReflect()
	default:
		return c.CodecV2.Marshal(v)
	}
	resources := m.GetUnknown()
	m.SetUnknown(nil)
	defer m.SetUnknown(resources)
	head, err := c.CodecV2.Marshal(v)
	if err != nil || len(resources) == 0 {
		return head, err
	}
	return append(head, mem.SliceBuffer(resources)), nil
}
