package nettest

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"
)

// rawServer answers each probe with the frames that a test chooses.
type rawServer struct {
	t        *testing.T
	listener *bufconn.Listener
	answer   func(a *rawAnswer)
	accepted int
	requests []map[string]string
	done     sync.WaitGroup
}

// rawAnswer writes the frames of one answer.
type rawAnswer struct {
	t      *testing.T
	framer *http2.Framer
	stream uint32
}

func newRawServer(t *testing.T, answer func(*rawAnswer)) *rawServer {
	s := &rawServer{t: t, listener: bufconn.Listen(64 << 10), answer: answer}
	s.done.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.accepted++
			s.done.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = s.listener.Close(); s.done.Wait() })
	return s
}

func (s *rawServer) serve(conn net.Conn) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if framer.WriteSettings() != nil {
		return
	}
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			request := map[string]string{}
			for _, h := range f.Fields {
				request[h.Name] = h.Value
			}
			s.requests = append(s.requests, request)
		case *http2.DataFrame:
			s.answer(&rawAnswer{s.t, framer, f.StreamID})
		}
	}
}

func (a *rawAnswer) headers(end bool, fields ...string) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = a.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
}

func (a *rawAnswer) begin() { a.headers(false, ":status", "200", "content-type", "application/grpc") }

func (a *rawAnswer) end() { a.headers(true, "grpc-status", "0") }

func (a *rawAnswer) message(status healthpb.HealthCheckResponse_ServingStatus) []byte {
	m, err := envelope(&healthpb.HealthCheckResponse{Status: status})
	if err != nil {
		a.t.Error(err)
	}
	return m
}

func (a *rawAnswer) data(b []byte, end bool) { _ = a.framer.WriteData(a.stream, end, b) }

// serves sends the only answer that a checker accepts.
func (a *rawAnswer) serves() {
	a.begin()
	a.data(a.message(healthpb.HealthCheckResponse_SERVING), false)
	a.end()
}

// TestEnvoyChecker: only one message with SERVING and the status OK is a success.
func TestEnvoyChecker(t *testing.T) {
	const serving = healthpb.HealthCheckResponse_SERVING
	for name, c := range map[string]struct {
		answer func(*rawAnswer)
		want   Verdict
	}{
		"serving": {(*rawAnswer).serves, Verdict{Healthy: true}},
		"in two frames": {func(a *rawAnswer) {
			m := a.message(serving)
			a.begin()
			a.data(m[:3], false)
			a.data(m[3:], false)
			a.end()
		}, Verdict{Healthy: true}},
		"empty message": {func(a *rawAnswer) {
			a.begin()
			a.data(a.message(0), false)
			a.end()
		}, Verdict{}},
		"not serving": {func(a *rawAnswer) {
			a.begin()
			a.data(a.message(2), false)
			a.end()
		}, Verdict{}},
		"a number of the future": {func(a *rawAnswer) {
			a.begin()
			a.data(a.message(4), false)
			a.end()
		}, Verdict{}},
		"no message": {func(a *rawAnswer) {
			a.begin()
			a.end()
		}, Verdict{}},
		"two messages": {func(a *rawAnswer) {
			a.begin()
			a.data(append(a.message(serving), a.message(serving)...), false)
			a.end()
		}, Verdict{Code: codes.Internal, Why: "unexpected streaming"}},
		"compressed": {func(a *rawAnswer) {
			m := a.message(serving)
			m[0] = 1
			a.begin()
			a.data(m, false)
			a.end()
		}, Verdict{Code: codes.Internal, Why: "invalid grpc.health.v1 RPC payload"}},
		"no trailers": {func(a *rawAnswer) {
			a.begin()
			a.data(a.message(serving), true)
		}, Verdict{Code: codes.Internal, Why: "gRPC protocol violation: unexpected stream end"}},
		"an error after the message": {func(a *rawAnswer) {
			a.begin()
			a.data(a.message(serving), false)
			a.headers(true, "grpc-status", "14", "grpc-message", "later")
		}, Verdict{Code: codes.Unavailable, Why: "later"}},
		"only an error": {func(a *rawAnswer) {
			a.headers(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "gone")
		}, Verdict{Code: codes.NotFound, Why: "gone"}},
		"HTTP 503": {func(a *rawAnswer) { a.headers(true, ":status", "503") }, Verdict{Code: codes.Unknown, Why: "non-200 HTTP response"}},
		"trailers without a status": {func(a *rawAnswer) {
			a.begin()
			a.headers(true, "x", "y")
		}, Verdict{Code: codes.Internal, Why: "invalid gRPC status"}},
		"HTTP 502 with a body": {func(a *rawAnswer) {
			a.headers(false, ":status", "502")
			a.data([]byte("bad"), true)
		}, Verdict{Code: codes.Unknown, Why: "non-200 HTTP response"}},
		"a page": {func(a *rawAnswer) {
			a.headers(false, ":status", "200", "content-type", "text/html")
			a.data([]byte("hello"), true)
		}, Verdict{Code: codes.Internal, Why: "not a gRPC request"}},
		"reset": {func(a *rawAnswer) {
			_ = a.framer.WriteRSTStream(a.stream, http2.ErrCodeRefusedStream)
		}, Verdict{Network: true, Why: "the stream was reset: REFUSED_STREAM"}},
		"graceful GOAWAY": {func(a *rawAnswer) {
			_ = a.framer.WriteGoAway(a.stream, http2.ErrCodeNo, nil)
			a.serves()
		}, Verdict{Healthy: true}},
		"other GOAWAY": {func(a *rawAnswer) {
			_ = a.framer.WriteGoAway(a.stream, http2.ErrCodeEnhanceYourCalm, nil)
			a.serves()
		}, Verdict{Network: true, Why: "the connection was closed"}},
		"no answer": {func(*rawAnswer) {}, Verdict{Network: true, Why: "timeout"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRawServer(t, c.answer)
				checker := &EnvoyChecker{Dial: s.listener.Dial, Service: "pay", Hostname: "a.instance.meshhealth"}
				defer checker.Close()
				for range 3 { // also on a connection that is already open
					if got := checker.Probe(); got != c.want {
						t.Errorf("%+v, want %+v", got, c.want)
					}
				}
				synctest.Wait()
				reconnects := strings.Contains(name, "GOAWAY")
				if want := map[bool]int{false: 1, true: 3}[reconnects]; s.accepted != want {
					t.Errorf("%d connections, want %d", s.accepted, want)
				}
			})
		})
	}
}

// TestEnvoyCheckerRequest: the headers are those of Envoy.
func TestEnvoyCheckerRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRawServer(t, (*rawAnswer).serves)
		checker := &EnvoyChecker{Dial: s.listener.Dial, Hostname: "a.instance.meshhealth:7070", Timeout: 1500 * time.Millisecond}
		defer checker.Close()
		if v := checker.Probe(); !v.Healthy {
			t.Fatal(v)
		}
		for header, want := range map[string]string{
			":authority": "a.instance.meshhealth:7070", ":path": "/grpc.health.v1.Health/Check", ":method": "POST",
			"user-agent": "Envoy/HC", "grpc-timeout": "1500m", "content-type": "application/grpc", "te": "trailers",
		} {
			if got := s.requests[0][header]; got != want {
				t.Errorf("%s: %q, want %q", header, got, want)
			}
		}
	})
}

// TestEnvoyCheckerWithoutServer: a refused connection is a failure of the network.
func TestEnvoyCheckerWithoutServer(t *testing.T) {
	checker := &EnvoyChecker{Dial: func() (net.Conn, error) { return net.Dial("tcp", Refusing(t)) }}
	defer checker.Close()
	if v := checker.Probe(); v.Healthy || !v.Network {
		t.Error(v)
	}
}
