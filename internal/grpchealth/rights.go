package grpchealth

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// mayRead returns what a caller sees of the state of a name. If the caller may not read
// it, the error is the one for an unknown name, with the name as it was asked for.
func mayRead(rights *access.Rights, id health.ID, asked string) (access.Shown, error) {
	if shown := rights.Shows(access.Of(id)); shown.Detail > access.Hidden {
		return shown, nil
	}
	return access.Shown{}, NotFound(asked)
}

// revisionFor returns the revision of a cut, or 0 for a caller that may not read every name. It would
// learn how many changes there are that it cannot see.
func revisionFor(rights *access.Rights, cut feed.Cut) uint64 {
	if !rights.ReadsAll() {
		return 0
	}
	return cut.Revision()
}

// NotFound returns the gRPC error for a name that the feed does not have. The text of the
// error contains the name, cleaned and cut to wire.MaxFullName bytes.
func NotFound(name string) error {
	return wire.GRPC(fmt.Errorf("service %q: %w", wire.CleanTo(name, wire.MaxFullName), domain.ErrNotFound))
}
