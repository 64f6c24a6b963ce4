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

// Source says how the coordinator has received a status. From some sources a status that is
// better than the last one counts at once. From others it counts after a delay.
type Source uint8

// The sources, with the time from which a better status counts.
const (
	SourceNone       Source = iota // no status was received
	SourceMeshhealth               // Watch of meshhealth.v1; a better status counts at once
	SourcePush                     // push by the instance; a better status counts at once
	SourceWatch                    // Watch of grpc.health.v1; SERVING counts after RecoverHold
	SourcePoll                     // polls; SERVING counts after RecoverHold and RecoverAfter polls
)

// String returns the name of the source in metrics and commands.
func (s Source) String() string {
	return [...]string{"connecting", "meshhealth-watch", "report", "grpc-watch", "grpc-poll"}[s]
}
