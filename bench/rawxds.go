package main

import (
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// rawDelta is a DeltaDiscoveryResponse whose resources are counted, but not decoded. The clients run on
// the machine of the measured server, so they must use little CPU time.
type rawDelta struct {
	resources int
	nonce     string
}

// rawDeltaCodec decodes rawDelta, and encodes all protobuf messages.
type rawDeltaCodec struct{ encoding.CodecV2 }

func newRawDeltaCodec() rawDeltaCodec { return rawDeltaCodec{encoding.GetCodecV2(proto.Name)} }

// Unmarshal decodes a *rawDelta.
func (rawDeltaCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*rawDelta)
	if !ok {
		return fmt.Errorf("rawDeltaCodec decodes no %T", v)
	}
	*m = rawDelta{}
	r := data.Reader()
	defer r.Close()
	for r.Remaining() > 0 {
		tag, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		field, kind := protowire.DecodeTag(tag)
		if kind != protowire.BytesType {
			return fmt.Errorf("field %d of a DeltaDiscoveryResponse has the wire type %d", field, kind)
		}
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		switch field {
		case 2: // resources
			m.resources++
		case 5: // nonce
			nonce := make([]byte, n)
			if _, err := io.ReadFull(r, nonce); err != nil {
				return err
			}
			m.nonce = string(nonce)
			continue
		}
		if _, err := r.Discard(int(n)); err != nil {
			return err
		}
	}
	return nil
}
