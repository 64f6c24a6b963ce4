package health

import (
	"fmt"
	"strings"
)

// EndpointProof says on what grounds the endpoint of an instance may receive traffic. Whoever registers an
// address decides where traffic goes, so an instance without a proof receives none.
type EndpointProof uint8

// The proofs, from the weakest to the strongest.
const (
	// ProofNotRequired means that the registration is from a version of the coordinator that required no proof.
	ProofNotRequired EndpointProof = iota
	// ProofMissing means that a proof is required and that none is known. Routing clients do not learn of the
	// instance.
	ProofMissing
	// ProofRule means that the access policy allows the caller to register this address.
	ProofRule
	// ProofConfigured means that the configuration of the coordinator names the instance.
	ProofConfigured
	// ProofPeer means that the instance was registered from its own address.
	ProofPeer
	// ProofProcess means that the coordinator has dialled the address, and the registered process has
	// answered: it knows the key of the registration.
	ProofProcess
	// ProofIdentity means that the coordinator has dialled the address, and the certificate there has the
	// identity that has registered the instance.
	ProofIdentity
	// NumEndpointProofs is the number of proofs.
	NumEndpointProofs
)

var endpointProofNames = [NumEndpointProofs]string{"not-required", "missing", "rule", "configured", "peer", "process", "identity"}

// String returns the name of the proof, such as "peer".
func (p EndpointProof) String() string {
	if p >= NumEndpointProofs {
		p = ProofNotRequired
	}
	return endpointProofNames[p]
}

// ParseEndpointProof returns the proof that has a name, such as "peer".
func ParseEndpointProof(name string) (EndpointProof, error) {
	for p, known := range endpointProofNames {
		if known == name {
			return EndpointProof(p), nil
		}
	}
	return ProofNotRequired, fmt.Errorf("%q is no proof; allowed: %s", name, strings.Join(endpointProofNames[:], ", "))
}

// Wire returns the number of the proof in the proto enum meshhealth.v1.EndpointProof.
func (p EndpointProof) Wire() int32 { return int32(p) }

// EndpointProofFromWire returns the proof with the number n in the proto enum
// meshhealth.v1.EndpointProof. It returns ProofNotRequired for an unknown number.
func EndpointProofFromWire(n int32) EndpointProof {
	if n < 0 || n >= int32(NumEndpointProofs) {
		return ProofNotRequired
	}
	return EndpointProof(n)
}
