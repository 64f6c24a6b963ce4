package main

import (
	"context"
	"fmt"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// countKey is the name of a response header. Its value is the number of polls that the server has
// answered so far.
const countKey = "asked"

func sendCount(ctx context.Context, n int64) error {
	return grpc.SetHeader(ctx, metadata.Pairs(countKey, strconv.FormatInt(n, 10)))
}

// countHeader receives the response headers of a call, to read the header countKey.
type countHeader struct{ md metadata.MD }

func (h *countHeader) count() (float64, error) {
	values := h.md.Get(countKey)
	if len(values) != 1 {
		return 0, fmt.Errorf("%d values of %s in the header, want 1", len(values), countKey)
	}
	return strconv.ParseFloat(values[0], 64)
}
