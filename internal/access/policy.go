package access

import (
	"net/netip"
	"time"
)

// The limits of a policy.
const (
	// MaxRules is the largest number of rules.
	MaxRules = 10_000
	// MaxPatterns is the largest number of patterns in one list of a rule.
	MaxPatterns = 1000
	// MaxPattern is the largest number of bytes of a pattern, an identity or the name of a rule.
	MaxPattern = 512
	// MaxSegments is the largest number of segments of a pattern.
	MaxSegments = 32
	// MaxTokens is the largest number of names of tokens. MaxTokenValues is the largest number of
	// values of one name: the old one and the new one while a token is replaced.
	MaxTokens, MaxTokenValues = 10_000, 2
	// MaxInstances is the largest value of Register.Instances.
	MaxInstances = 1_000_000
	// DefaultInstances is the default of Register.Instances.
	DefaultInstances = 1000
	// LongestOverride is the largest value and the default of Override.Longest.
	LongestOverride = 366 * 24 * time.Hour
)

// Policy says who may do what. It only allows. The zero value allows nothing but what everybody may
// do: to ask for the status of the coordinator itself.
type Policy struct {
	// TrustDomain is the only SPIFFE trust domain whose IDs are identities. Empty means any.
	TrustDomain string
	// AllowDNSNames means that a certificate without a URI is an identity if it has exactly one DNS name.
	AllowDNSNames bool
	// Tokens has the SHA-256 of the values of each bearer token, by the name of the token.
	Tokens map[string][]TokenHash
	Rules  []Rule
}

// TokenHash is the SHA-256 of a bearer token.
type TokenHash [32]byte

// Rule allows the identities that Who matches what its other fields say. A nil field allows nothing.
//
// A pattern is split into segments: the pattern of a service at dots, a SPIFFE ID at slashes, a DNS
// name at dots. The segment * stands for any one segment. As the last segment it stands for one or
// more. So * matches every service, and payments.* matches payments.v1 but not payments.
type Rule struct {
	// Name identifies the rule in logs and in the audit log. It is unique in its policy.
	Name string
	// Who lists identities: spiffe://DOMAIN/PATH, dns:NAME, token:NAME, unix:uid=NUMBER or ext:TEXT. The
	// last is from the Authenticator of package coordinator. The word authenticated stands for every
	// caller with an identity, and anyone for all.
	Who []string

	Register *Register
	// Report allows to report the status of instances that others have registered.
	Report *Services
	Read   *Read
	// Route allows to read where instances receive traffic, and their status.
	Route    *Services
	Override *Override
	Admin    bool
}

// Services allows an action on services.
type Services struct {
	// Services lists patterns of services.
	Services []string
}

// Register allows to register instances, and to renew, report for and deregister what was registered by the same
// identity.
type Register struct {
	Services []string
	// Addresses are the networks in which the addresses of the instances may be.
	Addresses []netip.Prefix
	// ProvenAddresses are further networks. An instance there receives traffic only after a dial of the
	// coordinator has shown that the identity or the process that registered it answers.
	ProvenAddresses []netip.Prefix
	// Peer allows the IP address from which the caller registers.
	Peer bool
	// Ports are the ports of the instances. Empty means all.
	Ports []Ports
	// Instances is the largest number of instances that one identity may have registered at the same
	// time. 0 means DefaultInstances.
	Instances int
}

// Ports is a range of ports. Both ends belong to it.
type Ports struct{ First, Last uint16 }

// Read allows to read the state of services.
type Read struct {
	Services []string
	// Detail is how much of a state may be read. Hidden, the zero value, means Status.
	Detail Detail
}

// Override allows to set and clear overrides.
type Override struct {
	Services []string
	// Longest is the longest time that an override may last. 0 means LongestOverride.
	Longest time.Duration
}

// Detail says how much of a state a caller may read. A higher level includes the lower ones.
type Detail uint8

// The levels of detail.
const (
	// Hidden means that for the caller the name does not exist.
	Hidden Detail = iota
	// Status shows statuses, causes, times, labels, and the names of checks. All causes that say how an
	// instance could not be asked are shown as unreachable. So nobody can find open ports with them.
	Status
	// Reason also shows the reasons that instances and people give.
	Reason
	// Evidence shows everything: also addresses, exact causes, history, overrides and explanations.
	Evidence
)

var detailTexts = [...]string{"hidden", "status", "reason", "evidence"}

// String returns the word for d in a policy file.
func (d Detail) String() string { return detailTexts[d] }

// Details returns the levels that a policy may give, the lowest first.
func Details() []Detail { return []Detail{Status, Reason, Evidence} }
