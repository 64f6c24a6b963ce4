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
