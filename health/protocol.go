package health

import "fmt"

// Protocol is the protocol by which the coordinator follows an instance. The zero value is
// ProtocolAuto.
type Protocol uint8

// The protocols by which the coordinator can follow an instance.
const (
	ProtocolAuto       Protocol = iota // the best protocol that the target serves, found by trying
	ProtocolMeshhealth                 // one stream of the method Watch of meshhealth.v1
	ProtocolWatch                      // one stream of the method Watch of grpc.health.v1
	ProtocolCheck                      // repeated calls (polls) of the method Check of grpc.health.v1
)

// ProtocolNames lists the names that ParseProtocol accepts. It is used in error texts.
const ProtocolNames = "auto, meshhealth, watch or check"

var protocolNames = [...]string{"auto", "meshhealth", "watch", "check"}

// String returns the name of the protocol, such as "watch".
func (p Protocol) String() string {
	if int(p) >= len(protocolNames) {
		return "auto"
	}
	return protocolNames[p]
}

// ParseProtocol returns the protocol of a name. The empty name is ProtocolAuto.
func ParseProtocol(name string) (Protocol, error) {
	if name == "" {
		return ProtocolAuto, nil
	}
	for p, known := range protocolNames {
		if name == known {
			return Protocol(p), nil
		}
	}
	return ProtocolAuto, fmt.Errorf("%q is no protocol", name)
}

// Source says how the coordinator has received a status. The source decides whether a status
// that is better than the last one is used at once or after a delay.
type Source uint8

// The sources. Each comment says when the coordinator uses a status that is better than the last
// one. RecoverHold and RecoverAfter are fields of MeshPolicy.
const (
	SourceNone       Source = iota // no status was received
	SourceMeshhealth               // method Watch of meshhealth.v1; a better status is used at once
	SourcePush                     // the instance sends its status itself; a better status is used at once
	SourceWatch                    // method Watch of grpc.health.v1; SERVING is used after the time MeshPolicy.RecoverHold
	SourcePoll                     // polls with Check of grpc.health.v1; SERVING is used after RecoverHold and RecoverAfter polls
)

// String returns the name by which metrics and commands show the source.
func (s Source) String() string {
	return [...]string{"connecting", "meshhealth-watch", "report", "grpc-watch", "grpc-poll"}[s]
}
