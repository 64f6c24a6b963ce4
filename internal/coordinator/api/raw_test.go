package api

import (
	"context"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"

	"github.com/meshhealth/meshhealth/internal/nettest"
)

// rawPeer is a nettest.RawPeer that records what it receives. It fails the test if it
// cannot write.
type rawPeer struct {
	t      *testing.T
	raw    *nettest.RawPeer
	conn   net.Conn
	closed chan struct{}

	mu sync.Mutex
	// trailers are the trailers of ended streams, by stream and header.
	trailers map[uint32]map[string]string
	bytes    map[uint32]int // number of bytes received, by stream
}

func newRawPeer(t *testing.T, dial func(context.Context, string) (net.Conn, error)) *rawPeer {
	t.Helper()
	p := &rawPeer{t: t, closed: make(chan struct{}), trailers: map[uint32]map[string]string{}, bytes: map[uint32]int{}}
	var err error
	p.conn, err = dial(t.Context(), "")
	p.must(err)
	p.raw, err = nettest.NewRawPeer(p.conn)
	p.must(err)
	go func() {
		defer close(p.closed)
		p.raw.Read(p.record)
	}()
	t.Cleanup(p.close)
	return p
}

func (p *rawPeer) close() {
	_ = p.conn.Close()
	<-p.closed
}

func (p *rawPeer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *rawPeer) record(f http2.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f := f.(type) {
	case *http2.DataFrame:
		p.bytes[f.StreamID] += len(f.Data())
	case *http2.MetaHeadersFrame:
		if f.StreamEnded() {
			p.trailers[f.StreamID] = map[string]string{}
			for _, h := range f.Fields {
				p.trailers[f.StreamID][h.Name] = h.Value
			}
		}
	}
}

// open sends the headers of a call.
func (p *rawPeer) open(method string) (stream uint32) {
	p.t.Helper()
	stream, err := p.raw.Open(method)
	p.must(err)
	return stream
}

// send sends a request, or only its first bytes if the test cuts it.
func (p *rawPeer) send(stream uint32, req proto.Message, cut int) {
	p.t.Helper()
	p.must(p.raw.Send(stream, req, cut))
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
	p.must(p.raw.Grant(stream, n))
}

// ended returns a trailer of an ended stream.
func (p *rawPeer) ended(stream uint32, header string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trailers[stream][header]
}
