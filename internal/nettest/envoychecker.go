package nettest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
)

// EnvoyChecker probes a gRPC server with the frames and the rules of the gRPC health checker of
// Envoy (source/extensions/health_checkers/grpc). A probe is one unary Check. It succeeds only
// if the answer is one message with SERVING and the status OK. The connection stays open
// for the next probe. After a GOAWAY with NO_ERROR a running probe may end; then the
// connection is closed.
//
// It has no thresholds: each probe has its own verdict. Probe and Close must not be called at
// the same time.
type EnvoyChecker struct {
	// Dial opens a connection for the next probe.
	Dial func() (net.Conn, error)
	// Service is the service_name of the checker. Hostname is health_check_config.hostname of
	// the endpoint, the :authority of its probes.
	Service, Hostname string
	// Timeout is the longest time of a probe. 0 means one second.
	Timeout time.Duration

	mu    sync.Mutex
	link  *checkerLink // open connection; nil if the next probe dials
	links sync.WaitGroup
}

// Verdict is the result of one probe.
type Verdict struct {
	Healthy bool
	// Network is true if the probe has failed because of the connection or the time: a failed
	// dial, a reset, a GOAWAY with an error, or the timeout.
	Network bool
	Code    codes.Code // status of the call, if it has ended
	Why     string     // reason of a failure; the grpc-message of the answer, or a text of Envoy
}

// checkerLink is one connection of a checker. EnvoyChecker.mu guards it.
type checkerLink struct {
	conn   net.Conn
	framer *http2.Framer
	next   uint32 // number of the next stream
	probe  *probe // running probe, or nil
	goaway bool   // true after a GOAWAY with NO_ERROR during a probe
}

// probe is one running call. EnvoyChecker.mu guards it.
type probe struct {
	stream  uint32
	headers bool // true after the headers of the answer
	data    []byte
	answer  *healthpb.HealthCheckResponse
	verdict chan Verdict // receives the only verdict
}

// Probe makes one probe. It opens a connection if none is open.
func (c *EnvoyChecker) Probe() Verdict {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = time.Second
	}
	l, p, err := c.begin(timeout)
	if err != nil {
		return Verdict{Network: true, Why: err.Error()}
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case v := <-p.verdict:
		return v
	case <-timer.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.probe != p { // the verdict came in the last moment
		return <-p.verdict
	}
	c.finish(l, Verdict{Network: true, Why: "timeout"}, false)
	return <-p.verdict
}

// Close closes the connection and waits for the end of its goroutine.
func (c *EnvoyChecker) Close() {
	c.mu.Lock()
	if c.link != nil {
		c.drop(c.link)
	}
	c.mu.Unlock()
	c.links.Wait()
}

// begin sends the request of a probe.
func (c *EnvoyChecker) begin(timeout time.Duration) (*checkerLink, *probe, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		if err := c.open(); err != nil {
			return nil, nil, err
		}
	}
	l := c.link
	p := &probe{stream: l.next, verdict: make(chan Verdict, 1)}
	l.next, l.probe = l.next+2, p
	if err := l.request(c, p.stream, timeout); err != nil {
		c.drop(l)
		return nil, nil, err
	}
	return l, p, nil
}

func (c *EnvoyChecker) open() error {
	conn, err := c.Dial()
	if err != nil {
		return err
	}
	l := &checkerLink{conn: conn, framer: http2.NewFramer(conn, conn), next: 1}
	l.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = conn.Write([]byte(http2.ClientPreface))
	if err = errors.Join(err, l.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0})); err != nil {
		_ = conn.Close()
		return err
	}
	c.link = l
	c.links.Go(func() { c.read(l) })
	return nil
}

// drop closes a connection. A running probe fails.
func (c *EnvoyChecker) drop(l *checkerLink) {
	_ = l.conn.Close()
	if c.link == l {
		c.link = nil
	}
	if l.probe != nil {
		l.probe.verdict <- Verdict{Network: true, Why: "the connection was closed"}
		l.probe = nil
	}
}

// finish ends the running probe of l. ended reports that the server has ended the stream;
// otherwise the stream is reset.
func (c *EnvoyChecker) finish(l *checkerLink, v Verdict, ended bool) {
	p := l.probe
	l.probe = nil
	p.verdict <- v
	if !ended && l.framer.WriteRSTStream(p.stream, http2.ErrCodeCancel) != nil || l.goaway {
		c.drop(l)
	}
}

// request sends the headers and the only message of a probe.
func (l *checkerLink) request(c *EnvoyChecker, stream uint32, timeout time.Duration) error {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range [][2]string{
		{":method", "POST"},
		{":path", "/grpc.health.v1.Health/Check"},
		{":authority", c.Hostname},
		{":scheme", "http"},
		{"te", "trailers"},
		{"content-type", "application/grpc"},
		{"user-agent", "Envoy/HC"},
		{"grpc-timeout", strconv.FormatInt(timeout.Milliseconds(), 10) + "m"},
	} {
		if err := enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return err
		}
	}
	message, err := envelope(&healthpb.HealthCheckRequest{Service: c.Service})
	if err != nil {
		return err
	}
	err = l.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
	return errors.Join(err, l.framer.WriteData(stream, true, message))
}

// read handles the frames of a connection until it is closed.
func (c *EnvoyChecker) read(l *checkerLink) {
	for {
		f, err := l.framer.ReadFrame()
		c.mu.Lock()
		if err == nil {
			err = c.handle(l, f)
		}
		if err != nil {
			c.drop(l)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// handle handles one frame. An error closes the connection.
func (c *EnvoyChecker) handle(l *checkerLink, f http2.Frame) error {
	running := l.probe != nil && f.Header().StreamID == l.probe.stream
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return l.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return l.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		if l.probe == nil || f.ErrCode != http2.ErrCodeNo {
			return fmt.Errorf("GOAWAY: %v", f.ErrCode)
		}
		l.goaway = true
	case *http2.RSTStreamFrame:
		if running {
			c.finish(l, Verdict{Network: true, Why: "the stream was reset: " + f.ErrCode.String()}, true)
		}
	case *http2.MetaHeadersFrame:
		if running {
			c.receiveHeaders(l, f)
		}
	case *http2.DataFrame:
		if running {
			c.receiveData(l, f)
		}
		if n := f.Header().Length; n > 0 {
			return l.framer.WriteWindowUpdate(0, n)
		}
	}
	return nil
}

func (c *EnvoyChecker) receiveHeaders(l *checkerLink, f *http2.MetaHeadersFrame) {
	fields := map[string]string{}
	for _, h := range f.Fields {
		fields[h.Name] = h.Value
	}
	code, hasCode := grpcCode(fields["grpc-status"])
	p := l.probe
	first := !p.headers
	p.headers = true
	switch {
	case f.StreamEnded() && hasCode:
		healthy := code == codes.OK && p.answer.GetStatus() == healthpb.HealthCheckResponse_SERVING
		c.finish(l, Verdict{Healthy: healthy, Code: code, Why: fields["grpc-message"]}, true)
	case first && fields[":status"] != "200":
		c.finish(l, Verdict{Code: codes.Unknown, Why: "non-200 HTTP response"}, f.StreamEnded())
	case f.StreamEnded():
		c.finish(l, Verdict{Code: codes.Internal, Why: "invalid gRPC status"}, true)
	case first && !strings.HasPrefix(fields["content-type"], "application/grpc"):
		c.finish(l, Verdict{Code: codes.Internal, Why: "not a gRPC request"}, false)
	}
}

// grpcCode parses the header grpc-status.
func grpcCode(text string) (code codes.Code, ok bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return codes.Code(n), err == nil
}

func (c *EnvoyChecker) receiveData(l *checkerLink, f *http2.DataFrame) {
	p := l.probe
	if f.StreamEnded() {
		c.finish(l, Verdict{Code: codes.Internal, Why: "gRPC protocol violation: unexpected stream end"}, true)
		return
	}
	p.data = append(p.data, f.Data()...)
	for {
		flags, message, rest, ok := unwrap(p.data)
		if !ok {
			return
		}
		p.data = rest
		if len(message) == 0 {
			continue // Envoy ignores an empty message, which is UNKNOWN
		}
		if p.answer != nil {
			c.finish(l, Verdict{Code: codes.Internal, Why: "unexpected streaming"}, false)
			return
		}
		p.answer = &healthpb.HealthCheckResponse{}
		if flags != 0 || proto.Unmarshal(message, p.answer) != nil {
			c.finish(l, Verdict{Code: codes.Internal, Why: "invalid grpc.health.v1 RPC payload"}, false)
			return
		}
	}
}
