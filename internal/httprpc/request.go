package httprpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// frameBytes is the size of the frame around one message of a stream or of gRPC-Web.
const frameBytes = 5

// serveWhole reads the body of a request and then calls next with the complete request. The
// http.Server limits the time for this. Afterwards no time limit applies to reading, because
// otherwise net/http would end a stream when the time for reading its request is over.
func serveWhole(w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxAsk+frameBytes))
	if err != nil {
		refuse(w, r, bodyError(err))
		return
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		refuse(w, r, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), controlKey{}, control))
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	next.ServeHTTP(w, r)
}

// controlKey is the key under which the context of a request has its http.ResponseController.
type controlKey struct{}

func bodyError(err error) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Errorf("%w: the request has more than %d bytes, the most it may have", domain.ErrLimit, large.Limit-frameBytes)
	}
	return fmt.Errorf("%w: the request was not complete: %v", domain.ErrLimit, err)
}
