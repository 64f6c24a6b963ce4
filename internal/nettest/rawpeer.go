package nettest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// RawPeer is an HTTP/2 client that makes gRPC calls frame by frame. It answers settings and
// pings. Its flow-control window is 0, so a server cannot send a message before Grant is called.
// The methods may be called concurrently.
type RawPeer struct {
	mu       sync.Mutex // held for each write of framer; also guards the fields next and vanished
	framer   *http2.Framer
	next     uint32 // number of the next stream
	vanished bool
}

// NewRawPeer begins HTTP/2 on conn. The caller must close conn, and must call Read in a goroutine.
func NewRawPeer(conn net.Conn) (*RawPeer, error) {
	p := &RawPeer{framer: http2.NewFramer(conn, conn), next: 1}
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	return p, p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
}

// Read calls handle with each received frame until the connection ends. A frame with headers has
// the type *http2.MetaHeadersFrame.
func (p *RawPeer) Read(handle func(http2.Frame)) {
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			return
		}
		handle(f)
		if p.answer(f) != nil {
			return
		}
	}
}

func (p *RawPeer) answer(f http2.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return p.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() && !p.vanished {
			return p.framer.WritePing(true, f.Data)
		}
	}
	return nil
}

// Vanish makes p ignore all later pings, but does not close the connection.
func (p *RawPeer) Vanish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vanished = true
}

// Open sends the headers of a call, and returns the number of its stream.
func (p *RawPeer) Open(method string) (stream uint32, err error) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", method},
		{":authority", "coordinator"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		if err := enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return 0, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	stream, p.next = p.next, p.next+2
	return stream, p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
}

// Send sends a request and ends the stream. If cut is not 0, it sends an incomplete request: the
// first cut bytes, but never the last byte. In this case it does not end the stream.
func (p *RawPeer) Send(stream uint32, req proto.Message, cut int) error {
	const frame = 16 << 10 // largest frame that every server accepts, in bytes
	message, err := envelope(req)
	if err != nil {
		return err
	}
	if cut > 0 {
		message = message[:min(cut, len(message)-1)]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(message) > frame {
		if err := p.framer.WriteData(stream, false, message[:frame]); err != nil {
			return err
		}
		message = message[frame:]
	}
	return p.framer.WriteData(stream, cut == 0, message)
}

// Grant lets the server send n more bytes: it enlarges the flow-control windows of a stream and of
// the connection.
func (p *RawPeer) Grant(stream, n uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.framer.WriteWindowUpdate(stream, n); err != nil {
		return err
	}
	return p.framer.WriteWindowUpdate(0, n)
}

// envelopeBytes is the size of what precedes a message in gRPC: a byte of flags and the length.
const envelopeBytes = 5

// envelope returns a message as gRPC sends it, without compression.
func envelope(m proto.Message) ([]byte, error) {
	body, err := proto.Marshal(m)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...), err
}

// unwrap splits received bytes after their first message. ok is false if the message is
// incomplete.
func unwrap(b []byte) (flags byte, message, rest []byte, ok bool) {
	if len(b) < envelopeBytes {
		return 0, nil, nil, false
	}
	end := envelopeBytes + int(binary.BigEndian.Uint32(b[1:]))
	if len(b) < end {
		return 0, nil, nil, false
	}
	return b[0], b[envelopeBytes:end], b[end:], true
}
