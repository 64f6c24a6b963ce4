package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// rawPeer is an HTTP/2 client whose frames a test controls. It answers pings and settings,
// and opens the flow-control window only if the test says so.
type rawPeer struct {
	t      *testing.T
	conn   net.Conn
	mu     sync.Mutex
	framer *http2.Framer
	next   uint32
	// trailers are the trailers of ended streams, by stream and header.
	trailers map[uint32]map[string]string
	reset    map[uint32]http2.ErrCode
	bytes    map[uint32]int
	closed   chan struct{}
	gone     bool // it no longer answers pings
}

func newRawPeer(t *testing.T, dial func(context.Context, string) (net.Conn, error)) *rawPeer {
	t.Helper()
	conn, err := dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	p := &rawPeer{
		t: t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1, closed: make(chan struct{}),
		trailers: map[uint32]map[string]string{}, reset: map[uint32]http2.ErrCode{}, bytes: map[uint32]int{},
	}
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	p.must(p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	go p.read()
	t.Cleanup(p.close)
	return p
}

func (p *rawPeer) close() {
	_ = p.conn.Close()
	<-p.closed
}

// vanish stops all answers, but does not close the connection.
func (p *rawPeer) vanish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
}

func (p *rawPeer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *rawPeer) read() {
	defer close(p.closed)
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			return
		}
		p.mu.Lock()
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = p.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() && !p.gone {
				_ = p.framer.WritePing(true, f.Data)
			}
		case *http2.DataFrame:
			p.bytes[f.StreamID] += len(f.Data())
		case *http2.RSTStreamFrame:
			p.reset[f.StreamID] = f.ErrCode
		case *http2.MetaHeadersFrame:
			if f.StreamEnded() {
				p.trailers[f.StreamID] = map[string]string{}
				for _, h := range f.Fields {
					p.trailers[f.StreamID][h.Name] = h.Value
				}
			}
		}
		p.mu.Unlock()
	}
}

// open sends the headers of a call.
func (p *rawPeer) open(method string) (stream uint32) {
	p.t.Helper()
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
		p.must(enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	stream, p.next = p.next, p.next+2
	p.must(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}))
	return stream
}

// send sends a request, or only its first bytes if the test cuts it.
func (p *rawPeer) send(stream uint32, req proto.Message, cut int) {
	p.t.Helper()
	body, err := proto.Marshal(req)
	p.must(err)
	message := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	if cut > 0 {
		message = message[:cut]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.must(p.framer.WriteData(stream, cut == 0, message))
}

func (p *rawPeer) call(method string, req proto.Message) (stream uint32) {
	p.t.Helper()
	stream = p.open(method)
	p.send(stream, req, 0)
	return stream
}

// room opens the window of a stream by n bytes.
func (p *rawPeer) room(stream uint32, n uint32) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.must(p.framer.WriteWindowUpdate(stream, n))
	p.must(p.framer.WriteWindowUpdate(0, n))
}

// ended returns a trailer of an ended stream.
func (p *rawPeer) ended(stream uint32, header string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trailers[stream][header]
}
