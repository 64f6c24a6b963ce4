package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// rawPeer is an HTTP/2 client without a certificate that lets a server send no messages: its
// flow control window is 0. The server must therefore keep all messages in memory.
type rawPeer struct {
	conn   *tls.Conn
	mu     sync.Mutex
	framer *http2.Framer
	next   uint32
	// answered receives one value for each stream whose response header has arrived.
	answered chan struct{}
}

func (r *rig) rawPeer(at string) (*rawPeer, error) {
	conn, err := tls.Dial("tcp", at, unverified())
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { _ = conn.Close() })
	p := &rawPeer{conn: conn, framer: http2.NewFramer(conn, conn), next: 1, answered: make(chan struct{}, 1<<16)}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	if err := p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		return nil, err
	}
	r.wg.Go(p.read)
	return p, nil
}

func (p *rawPeer) read() {
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			return
		}
		p.mu.Lock()
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = p.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = p.framer.WritePing(true, f.Data)
			}
		case *http2.HeadersFrame:
			p.answered <- struct{}{}
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// call opens a stream and sends a request on it. If whole is false, it sends only the first
// bytes of the request, most bytes at most.
func (p *rawPeer) call(method string, req proto.Message, whole bool, most int) error {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range [][2]string{
		{":method", "POST"},
		{":scheme", "https"},
		{":path", method},
		{":authority", "bench"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		if err := enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return err
		}
	}
	body, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	message := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	if !whole {
		message = message[:min(len(message)-1, most)]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	stream := p.next
	p.next += 2
	if err := p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	for len(message) > 16<<10 {
		if err := p.framer.WriteData(stream, false, message[:16<<10]); err != nil {
			return err
		}
		message = message[16<<10:]
	}
	return p.framer.WriteData(stream, whole, message)
}
