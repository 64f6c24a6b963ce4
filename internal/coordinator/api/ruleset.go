package api

import (
	"sync"

	"github.com/meshhealth/meshhealth/internal/access"
)

// maxIdentities is the number of identities whose rights are kept. If there are more, all are computed anew.
const maxIdentities = 10_000

// ruleset is an access policy with the rights that were computed from it.
type ruleset struct {
	*access.Compiled
	anonymous *access.Rights

	mu         sync.Mutex
	byIdentity map[string]*access.Rights
}

func newRuleset(policy *access.Compiled) *ruleset {
	return &ruleset{Compiled: policy, anonymous: policy.For(""), byIdentity: map[string]*access.Rights{}}
}

// rights returns the rights of an identity.
func (s *ruleset) rights(identity string) *access.Rights {
	if identity == "" {
		return s.anonymous
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byIdentity[identity]
	if r == nil {
		if len(s.byIdentity) >= maxIdentities {
			clear(s.byIdentity)
		}
		r = s.For(identity)
		s.byIdentity[identity] = r
	}
	return r
}

// judged is what a policy says of the identity that a connection has shown.
type judged struct {
	rules  *ruleset
	rights *access.Rights
	err    error
}
