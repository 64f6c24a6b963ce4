package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"

	"google.golang.org/grpc/credentials"
)

// maxToken is the largest number of bytes of a file with a token.
const maxToken = 4096

// TokenFile returns credentials that send the content of a file as a bearer token with each call. The file is
// read for each call, so that it can be replaced at any time. Only its owner may be able to read it. The token
// is sent only over TLS and over a unix socket: calls on other connections fail. TokenFile returns an error if
// the file has no token now.
func TokenFile(path string) (credentials.PerRPCCredentials, error) {
	t := tokenFile(path)
	_, err := t.read()
	return t, err
}

// tokenFile is the path of a file with a token.
type tokenFile string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := t.read()
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (tokenFile) RequireTransportSecurity() bool { return true }

func (t tokenFile) read() (string, error) {
	f, err := os.OpenFile(string(t), os.O_RDONLY|syscall.O_NONBLOCK, 0) // to open a pipe would block for ever otherwise
	if err != nil {
		return "", fmt.Errorf("the file of the token cannot be read: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", fmt.Errorf("the file of the token cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%q is no regular file; allowed: a file with a token", string(t))
	case runtime.GOOS != "windows" && info.Mode()&fs.FileMode(0o077) != 0:
		return "", fmt.Errorf("others may read %q (mode %04o); allowed: mode 0600 or 0400", string(t), info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("the file of the token cannot be read: %w", err)
	}
	token := strings.TrimSpace(string(text))
	switch {
	case len(text) > maxToken:
		return "", fmt.Errorf("%q has more than %d bytes; allowed: a token", string(t), maxToken)
	case token == "":
		return "", fmt.Errorf("%q is empty; allowed: a token", string(t))
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "", errors.New("the token has spaces or special characters in it; allowed: one line of printable ASCII")
	}
	return token, nil
}
