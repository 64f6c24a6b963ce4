package httprpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	unaryName  = "/meshhealth.v1.HealthService/Check"
	streamName = "/meshhealth.v1.HealthService/Watch"
)

// textMessage is a message that is encoded already.
type textMessage string

func (m textMessage) AppendJSON(b []byte) []byte { return append(b, m...) }

// check answers with the name that it is asked for.
func check(_ context.Context, req *pb.CheckRequest) (*pb.CheckResponse, error) {
	if req.GetService() == "limit" {
		return nil, fmt.Errorf("%w: too many", domain.ErrLimit)
	}
	return &pb.CheckResponse{Health: &pb.Health{Service: req.GetService()}}, nil
}

// handler serves check, and a stream that is answered by open.
func handler(cfg *Config, open func(grpc.ServerStream) error) http.Handler {
	mux := http.NewServeMux()
	for _, m := range []Method{
		Unary(cfg, unaryName, check),
		ServerStream(cfg, streamName,
			func(_ *pb.WatchRequest, s grpc.ServerStreamingServer[pb.WatchResponse]) error {
				return s.Send(&pb.WatchResponse{Epoch: 7})
			},
			func(_ *pb.WatchRequest, s grpc.ServerStreamingServer[pb.WatchResponse]) error { return open(s) }),
	} {
		mux.Handle(m.Name, m.Handler)
	}
	return mux
}

func once(s grpc.ServerStream) error { return s.SendMsg(textMessage(`{"epoch":"7"}`)) }

// post sends a request to a real server.
func post(t testing.TB, url, kind string, body io.Reader, header ...string) (code int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Header["Access-Control-Allow-Origin"]) > 0 {
		t.Error("the answer allows other origins")
	}
	return resp.StatusCode, string(b)
}

// framed returns a message in a frame with these flags.
func framed(flags byte, text string) string {
	return string(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(text)))) + text
}

func TestRequests(t *testing.T) {
	srv := httptest.NewServer(handler(&Config{}, once))
	defer srv.Close()
	large := strings.Repeat("x", wire.MaxAsk)
	for _, c := range []struct {
		what, name, kind, body string
		header                 []string
		code                   int
		text                   string
	}{
		{"JSON", unaryName, "application/json", `{"service":"pay"}`, nil, 200, `"service":"pay"`},
		{"JSON with a charset", unaryName, "application/json; charset=utf-8", `{}`, nil, 200, `{"health":{}}`},
		{"unknown fields", unaryName, "application/json", `{"later":[1]}`, nil, 200, `{"health":{}}`},
		{"a token is ignored", unaryName, "application/json", `{}`, []string{"Authorization", "Bearer secret"}, 200, `{"health":{}}`},
		{"a stream", streamName, "application/connect+json", framed(0, `{}`), nil, 200, framed(0, `{"epoch":"7"}`) + framed(2, `{}`)},
		{"an error", unaryName, "application/json", `{"service":"limit"}`, nil, 429, `"code":"resource_exhausted"`},
		{"details", unaryName, "application/json", `{"service":"limit"}`, nil, 429, `"reason":"LIMIT"`},
		{"empty", unaryName, "application/json", "", nil, 400, "allowed: a JSON object"},
		{"no JSON", unaryName, "application/json", "<html>", nil, 400, "invalid_argument"},
		{"text", unaryName, "text/plain", `{}`, nil, 415, "Content-Type: is"},
		{"a form", unaryName, "application/x-www-form-urlencoded", `{}`, nil, 415, "allowed: application/json"},
		{"gRPC", unaryName, "application/grpc", framed(0, ""), nil, 415, "Content-Type: is"},
		{"gRPC with a codec", unaryName, "application/grpc+json", framed(0, ""), nil, 415, "Content-Type: is"},
		{"a stream type for a unary method", unaryName, "application/connect+json", framed(0, "{}"), nil, 415, "Content-Type: is"},
		{"a unary type for a stream", streamName, "application/json", "{}", nil, 415, "Content-Type: is"},
		{"compressed", unaryName, "application/json", "\x1f\x8b", []string{"Content-Encoding", "gzip"}, 501, "unknown compression"},
		{"a compressed frame", streamName, "application/connect+json", framed(1, "\x1f\x8b"), nil, 200, "compressed"},
		{"too large", unaryName, "application/json", `{"service":"` + large + `"}`, nil, 429, "resource_exhausted"},
		{"a stream, too large", streamName, "application/connect+json", framed(0, large+large), nil, 200, "resource_exhausted"},
		{"a frame that lies", streamName, "application/connect+json", "\x00\xff\xff\xff\xff{}", nil, 200, "resource_exhausted"},
		{"a frame that is cut", streamName, "application/connect+json", "\x00\x00\x00", nil, 200, "error"},
		{"two messages", streamName, "application/connect+json", framed(0, "{}") + framed(0, "{}"), nil, 200, "multiple messages"},
		{"no message", streamName, "application/connect+json", "", nil, 200, "zero messages"},
		{"nested", unaryName, "application/json", strings.Repeat(`{"a":`, 5000), nil, 400, "invalid_argument"},
	} {
		code, text := post(t, srv.URL+c.name, c.kind, strings.NewReader(c.body), c.header...)
		if code != c.code || !strings.Contains(text, c.text) || strings.Contains(text, "secret") {
			t.Errorf("%s: %d %.300q, want %d %q", c.what, code, text, c.code, c.text)
		}
	}
}

// TestInterceptors: the interceptors run around each call, the first one outside, and know the method.
func TestInterceptors(t *testing.T) {
	var seen []string
	unary := func(name string) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			method, _ := grpc.Method(ctx)
			seen = append(seen, name+" "+method+" "+info.FullMethod)
			return next(ctx, req)
		}
	}
	cfg := &Config{
		Unary: []grpc.UnaryServerInterceptor{unary("outer"), unary("inner")},
		Stream: []grpc.StreamServerInterceptor{func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			seen = append(seen, fmt.Sprint("stream ", info.FullMethod, info.IsServerStream))
			return errors.Join(next(srv, s), domain.ErrStopping)
		}},
	}
	srv := httptest.NewServer(handler(cfg, once))
	defer srv.Close()
	post(t, srv.URL+unaryName, "application/json", strings.NewReader("{}"))
	_, text := post(t, srv.URL+streamName, "application/connect+json", strings.NewReader(framed(0, "{}")))
	want := fmt.Sprint([]string{"outer " + unaryName + " " + unaryName, "inner " + unaryName + " " + unaryName, "stream " + streamName + "true"})
	if fmt.Sprint(seen) != want || !strings.Contains(text, `"unavailable"`) {
		t.Errorf("%q, want %s; %s", seen, want, text)
	}
}

// TestUnread: a stream ends when its client has not read for wire.SendTimeout, and it has then needed
// little memory. A stream lasts longer than the time limits of the server as long as its client reads.
func TestUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bufconn.Listen(64 << 10)
		sent, ended := 0, make(chan error, 1)
		srv := &http.Server{ReadTimeout: wire.RequestTimeout, WriteTimeout: wire.SendTimeout, Handler: handler(&Config{}, func(s grpc.ServerStream) error {
			message := textMessage(`"` + strings.Repeat("x", 8<<10) + `"`)
			for {
				if err := s.SendMsg(message); err != nil {
					ended <- err
					return err
				}
				sent++
				time.Sleep(20 * time.Second) // in the time of the bubble
				if sent > 6 {
					message = textMessage(`"` + strings.Repeat("x", 256<<10) + `"`)
				}
			}
		})}
		served := make(chan struct{})
		go func() { defer close(served); _ = srv.Serve(l) }()
		conn, err := l.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		body := framed(0, "{}")
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+json\r\nContent-Length: %d\r\n\r\n%s", streamName, len(body), body)
		read, buf := 0, make([]byte, 4096)
		for read < 6*8<<10 {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("after %d bytes: %v", read, err)
			}
			read += n
		}
		began := time.Now()
		select {
		case <-ended:
		case <-time.After(10 * wire.SendTimeout):
			t.Error("the stream does not end")
		}
		if took := time.Since(began); took > 3*wire.SendTimeout {
			t.Errorf("it ends after %v", took)
		}
		_ = conn.Close()
		_ = srv.Close()
		<-served
	})
}

// FuzzRequests: whatever a client sends, the answer is one of the protocol, and the handler is not
// called with a request that is larger than allowed.
func FuzzRequests(f *testing.F) {
	kinds := []string{"application/json", "application/proto", "application/connect+json", "application/connect+proto", "application/grpc-web", "application/grpc-web+json", "text/plain", "application/grpc"}
	for i := range kinds {
		f.Add(uint8(i), "", []byte(framed(0, `{"service":"pay"}`)))
		f.Add(uint8(i), "gzip", []byte("\x01\x00\x00\x00\x02\x1f\x8b"))
		f.Add(uint8(i), "identity", []byte{0, 255, 255, 255, 255})
		f.Add(uint8(i), "br", []byte(`{"service":{}}`))
	}
	srv := httptest.NewServer(handler(&Config{}, once))
	f.Cleanup(srv.Close)
	f.Fuzz(func(t *testing.T, kind uint8, encoding string, body []byte) {
		if strings.ContainsFunc(encoding, func(r rune) bool { return r < ' ' || r > '~' }) {
			return // net/http sends no such header
		}
		for _, name := range []string{unaryName, streamName} {
			code, text := post(t, srv.URL+name, kinds[int(kind)%len(kinds)], bytes.NewReader(body), "Content-Encoding", encoding, "Connect-Content-Encoding", encoding)
			if code < 200 || code > 599 || code == 500 || len(text) > 64<<10 {
				t.Errorf("%s of %q: %d %.200q", name, body, code, text)
			}
		}
	})
}
