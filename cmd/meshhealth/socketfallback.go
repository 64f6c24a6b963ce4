package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/local"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// socketFallback repeats a call over the unix socket of the coordinator. It does so if the coordinator has refused
// the call over loopback and has named its socket. There the kernel tells the coordinator which user calls.
type socketFallback struct {
	target *target
	mu     sync.Mutex
	conn   *grpc.ClientConn // nil before the first such call
}

func (s *socketFallback) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, cc, opts...)
	path := wire.SocketOf(err)
	if path == "" || !isOurSocket(path) {
		return err
	}
	conn, dialErr := s.dial(path)
	if dialErr != nil {
		return err
	}
	return conn.Invoke(ctx, method, req, reply, opts...)
}

func (s *socketFallback) dial(path string) (*grpc.ClientConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return s.conn, nil
	}
	var err error
	s.conn, err = grpc.NewClient(unixScheme+path, append(wire.DialOptions(wire.MaxWatchMessage), grpc.WithTransportCredentials(local.NewCredentials()))...)
	return s.conn, err
}

func (s *socketFallback) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// isOurSocket reports whether a path is a socket that belongs to root or to the user of this process. Whoever
// listens on the port of the coordinator could otherwise make the command call other programs.
func isOurSocket(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSocket != 0 && ownedByUs(info)
}

// stream does the same as unary for a stream with one request. It repeats the call if the first answer is the
// refusal.
func (s *socketFallback) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	first, err := open(ctx, desc, cc, method, opts...)
	if err != nil || desc.ClientStreams {
		return first, err
	}
	return &fallbackStream{ClientStream: first, again: func(path string) (grpc.ClientStream, error) {
		conn, err := s.dial(path)
		if err != nil {
			return nil, err
		}
		return conn.NewStream(ctx, desc, method, opts...)
	}}, nil
}

// fallbackStream is a stream with one request, which may be opened again over a unix socket.
type fallbackStream struct {
	grpc.ClientStream
	again func(path string) (grpc.ClientStream, error) // nil after the first answer
	req   any
}

func (f *fallbackStream) SendMsg(m any) error {
	f.req = m
	return f.ClientStream.SendMsg(m)
}

func (f *fallbackStream) RecvMsg(m any) error {
	err := f.ClientStream.RecvMsg(m)
	again := f.again
	f.again = nil
	path := wire.SocketOf(err)
	if again == nil || path == "" || !isOurSocket(path) {
		return err
	}
	next, openErr := again(path)
	if openErr != nil || next.SendMsg(f.req) != nil || next.CloseSend() != nil {
		return err
	}
	f.ClientStream = next
	return next.RecvMsg(m)
}
