package coordinator

import (
	"errors"
	"net/netip"
	"os"

	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/coordinator/api"
)

// newAccess returns what decides about access, with the policy in cfg or a built-in one.
func newAccess(cfg *Config, l *listeners) (*api.Access, error) {
	policy := cfg.Access
	switch {
	case policy != nil:
	case cfg.InsecureOpen:
		policy = access.Open(openNetworks(cfg, l))
	case !onLoopback(l.grpc) || !onLoopback(l.http) && cfg.HTTPTLS != nil:
		return nil, errors.New("Access: is missing, and a listener is not on loopback; allowed: a policy, or InsecureOpen (--insecure-open)")
	default:
		policy = access.OpenLocal(cfg.Allow, users()...)
	}
	compiled, err := access.Compile(policy)
	if err != nil {
		return nil, err
	}
	var other api.Authenticate
	if cfg.Authenticator != nil {
		other = cfg.Authenticator.Authenticate
	}
	return api.NewAccess(compiled, l.socketPath(), other), nil
}

// openNetworks returns the networks in which instances may be with InsecureOpen.
func openNetworks(cfg *Config, l *listeners) (all []netip.Prefix) {
	if len(cfg.Allow) > 0 || !onLoopback(l.grpc) {
		return cfg.Allow
	}
	return access.Loopback()
}

// users returns the numbers of the users that may do everything on a coordinator without a policy: root, and
// the user that runs the coordinator. There are none on systems without such numbers.
func users() []int {
	uid := os.Getuid()
	switch {
	case uid < 0:
		return nil
	case uid == 0:
		return []int{0}
	}
	return []int{0, uid}
}
