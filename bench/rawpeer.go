package main

import (
	"crypto/tls"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/internal/nettest"
)

// rawPeer is a client without a TLS certificate that makes gRPC calls frame by frame.
type rawPeer struct {
	*nettest.RawPeer
	// answered receives a value when the server has sent a response header or a trailer.
	answered chan struct{}
}

func (r *rig) rawPeer(at string) (*rawPeer, error) {
	conn, err := tls.Dial("tcp", at, unverified())
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { _ = conn.Close() })
	p := &rawPeer{answered: make(chan struct{}, 1<<16)}
	if p.RawPeer, err = nettest.NewRawPeer(conn); err != nil {
		return nil, err
	}
	r.wg.Go(func() {
		p.Read(func(f http2.Frame) {
			if _, is := f.(*http2.MetaHeadersFrame); is {
				p.answered <- struct{}{}
			}
		})
	})
	return p, nil
}

// call opens a stream and sends a request. If cut is not 0, it sends only the first cut bytes of the
// request.
func (p *rawPeer) call(method string, req proto.Message, cut int) error {
	stream, err := p.Open(method)
	if err != nil {
		return err
	}
	return p.Send(stream, req, cut)
}
