package follow

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
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
)

// rawStream answers one call frame by frame, in valid or invalid ways.
type rawStream struct {
	t     *testing.T
	conn  net.Conn
	frame *http2.Framer
	id    uint32
	path  string
}

// headers sends a HEADERS frame with alternating names and values.
func (s *rawStream) headers(end bool, fields ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		if err := encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			s.t.Error(err)
		}
	}
	// A block that is too long for one frame continues in others.
	const most = 16 << 10
	rest := block.Bytes()
	first := rest[:min(most, len(rest))]
	rest = rest[len(first):]
	_ = s.frame.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: first, EndStream: end, EndHeaders: len(rest) == 0})
	for len(rest) > 0 {
		n := min(most, len(rest))
		_ = s.frame.WriteContinuation(s.id, n == len(rest), rest[:n])
		rest = rest[n:]
	}
}

// open sends the headers that begin a gRPC answer.
func (s *rawStream) open(more ...string) {
	s.headers(false, append([]string{":status", "200", "content-type", "application/grpc"}, more...)...)
}

// only sends an answer that is a status alone.
func (s *rawStream) only(more ...string) {
	s.headers(true, append([]string{":status", "200", "content-type", "application/grpc"}, more...)...)
}

// http sends an answer that is not gRPC.
func (s *rawStream) http(status, body string) {
	s.headers(false, ":status", status, "content-type", "text/html")
	s.data(true, []byte(body))
}

func (s *rawStream) data(end bool, b []byte) { _ = s.frame.WriteData(s.id, end, b) }

func (s *rawStream) reset(code http2.ErrCode) { _ = s.frame.WriteRSTStream(s.id, code) }

// framed returns a message with its length prefix.
func framed(flag byte, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(payload)))
	return append(b, payload...)
}

// serving returns a valid message of grpc.health.v1.
func serving() []byte {
	b, err := proto.Marshal(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING})
	if err != nil {
		panic(err)
	}
	return framed(0, b)
}

// serveRaw speaks HTTP/2 on a connection until that ends. It passes each complete call
// to answer.
func serveRaw(t *testing.T, conn net.Conn, settings []http2.Setting, answer func(*rawStream)) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings(settings...)
	paths := map[uint32]string{}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			_ = f.WritePing(true, frame.Data)
		case *http2.MetaHeadersFrame:
			paths[frame.StreamID], ended = frame.PseudoValue("path"), frame.StreamEnded()
		case *http2.DataFrame:
			ended = frame.StreamEnded()
		}
		if id := frame.Header().StreamID; ended {
			answer(&rawStream{t: t, conn: conn, frame: f, id: id, path: paths[id]})
		}
	}
}

// rawTarget starts an in-memory server that speaks HTTP/2 frame by frame. It returns
// the link that a follower would use. Both end with the test.
func rawTarget(t *testing.T, settings []http2.Setting, answer func(*rawStream)) *link {
	t.Helper()
	l := bufconn.Listen(64 << 10)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { serveRaw(t, conn, settings, answer) })
		}
	})
	p := New(Config{Dial: DialPolicy{Context: func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }}}).pool
	e := p.acquire(p.keyOf(health.ID{Service: "pay", Instance: "a"}, &health.Spec{Address: "host:1"}))
	t.Cleanup(func() {
		p.release(e)
		_ = l.Close()
		running.Wait()
	})
	return e
}
