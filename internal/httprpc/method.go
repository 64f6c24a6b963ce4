package httprpc

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
)

// callTime is the longest time that a unary call may take. It is shorter than wire.SendTimeout, so
// that time remains to write the answer.
const callTime = 20 * time.Second

// Method is one method that is served over HTTP.
type Method struct {
	// Name is the full name of the method, such as "/meshhealth.v1.HealthService/Check". It is
	// also the path of the method.
	Name string
	// Handler serves the method. It accepts only the HTTP method POST.
	Handler http.Handler
}

// Config has what all methods of a server have in common.
type Config struct {
	// Unary and Stream are the interceptors that run around each call, the outermost first.
	Unary  []grpc.UnaryServerInterceptor
	Stream []grpc.StreamServerInterceptor
}

// Unary returns a method with one request and one response.
func Unary[Req, Resp any](cfg *Config, name string, call func(context.Context, *Req) (*Resp, error)) Method {
	info := &grpc.UnaryServerInfo{FullMethod: name}
	handle := func(ctx context.Context, req *connect.Request[Req]) (*connect.Response[Resp], error) {
		ctx, cancel := context.WithTimeout(callContext(ctx, name), callTime)
		defer cancel()
		resp, err := cfg.intercept(ctx, req.Msg, info, func(ctx context.Context, req any) (any, error) {
			return call(ctx, req.(*Req))
		})
		if err != nil {
			return nil, connectError(err)
		}
		return connect.NewResponse(resp.(*Resp)), nil
	}
	return Method{name, bounded(unaryTypes, connect.NewUnaryHandler(name, handle, options()...))}
}

// Open is a function that answers a request by messages on a stream.
type Open[Req, Resp any] = func(*Req, grpc.ServerStreamingServer[Resp]) error

// ServerStream returns a method with one request and a stream of responses. If the caller has chosen
// JSON, the handler calls openJSON, otherwise open.
func ServerStream[Req, Resp any](cfg *Config, name string, open, openJSON Open[Req, Resp]) Method {
	info := &grpc.StreamServerInfo{FullMethod: name, IsServerStream: true}
	handle := func(ctx context.Context, req *connect.Request[Req], out *connect.ServerStream[Resp]) error {
		chosen := open
		if strings.HasSuffix(req.Header().Get("Content-Type"), "json") {
			chosen = openJSON
		}
		s := newStream(callContext(ctx, name), out.Conn())
		defer s.close()
		return connectError(cfg.interceptStream(s, info, func(_ any, stream grpc.ServerStream) error {
			return chosen(req.Msg, &grpc.GenericServerStream[Req, Resp]{ServerStream: stream})
		}))
	}
	return Method{name, bounded(streamTypes, connect.NewServerStreamHandler(name, handle, options()...))}
}

// callContext returns the context of a call of a method.
func callContext(ctx context.Context, name string) context.Context {
	return grpc.NewContextWithServerTransportStream(ctx, transport(name))
}

// intercept calls a handler inside the interceptors for unary calls.
func (c *Config) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	for i := len(c.Unary) - 1; i >= 0; i-- {
		one, inner := c.Unary[i], handler
		handler = func(ctx context.Context, req any) (any, error) { return one(ctx, req, info, inner) }
	}
	return handler(ctx, req)
}

// interceptStream calls a handler inside the interceptors for streams.
func (c *Config) interceptStream(stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	for i := len(c.Stream) - 1; i >= 0; i-- {
		one, inner := c.Stream[i], handler
		handler = func(srv any, stream grpc.ServerStream) error { return one(srv, stream, info, inner) }
	}
	return handler(nil, stream)
}

var (
	unaryTypes = []string{
		"application/json", "application/proto",
		"application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json",
	}
	streamTypes = []string{
		"application/connect+json", "application/connect+proto",
		"application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json",
	}
)

// bounded returns a handler that refuses requests of other content types than types, and that reads
// the whole request before it calls next. A browser sends none of these types across origins without
// asking the server first, and this server never agrees.
func bounded(types []string, next http.Handler) http.Handler {
	allowed := map[string]bool{}
	for _, t := range types {
		allowed[t] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, fmt.Sprintf("the HTTP method is %.16q; allowed: POST", r.Method), http.StatusMethodNotAllowed)
			return
		}
		given := r.Header.Get("Content-Type")
		if media, _, err := mime.ParseMediaType(given); err != nil || !allowed[media] {
			http.Error(w, fmt.Sprintf("Content-Type: is %.64q; allowed: %s", given, strings.Join(types, ", ")), http.StatusUnsupportedMediaType)
			return
		}
		serveWhole(w, r, next)
	})
}
