package httprpc

import (
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// options returns the options of every Connect handler. The methods read a request completely before
// they answer, so a request that declares a compression is refused, however small it is.
func options() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(wire.MaxAsk),
		connect.WithCodec(jsonCodec{"json"}),
		connect.WithCodec(jsonCodec{"json; charset=utf-8"}),
	}
}

// jsonCodec encodes messages in proto JSON. It implements connect.Codec, and the method
// MarshalAppend, which connect uses if a codec has it.
type jsonCodec struct{ name string }

// appender is a message that is encoded already.
type appender interface{ AppendJSON(b []byte) []byte }

// Name implements connect.Codec.
func (c jsonCodec) Name() string { return c.name }

// IsBinary says that the encoding is text.
func (jsonCodec) IsBinary() bool { return false }

// Marshal implements connect.Codec.
func (c jsonCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend appends the encoding of a message to b. It copies a message that is encoded already,
// because connect writes into the slice again later.
func (jsonCodec) MarshalAppend(b []byte, message any) ([]byte, error) {
	switch m := message.(type) {
	case appender:
		return m.AppendJSON(b), nil
	case proto.Message:
		return protojson.MarshalOptions{}.MarshalAppend(b, m)
	}
	return nil, fmt.Errorf("%T is no message", message)
}

// Unmarshal implements connect.Codec. It ignores unknown fields, because gRPC ignores them too.
func (jsonCodec) Unmarshal(b []byte, message any) error {
	m, ok := message.(proto.Message)
	switch {
	case !ok:
		return fmt.Errorf("%T is no message", message)
	case len(b) == 0:
		return errors.New("the request is empty; allowed: a JSON object, such as {}")
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 100}.Unmarshal(b, m)
}
