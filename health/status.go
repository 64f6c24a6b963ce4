package health

import "fmt"

// Status is the status of a check, an instance, a service, a zone or the mesh. The zero
// value is Unknown.
type Status uint8

// The statuses. Only Serving and Degraded are routable.
const (
	Unknown     Status = iota // nothing reliable is known about the health
	Serving                   // the instance serves without a problem
	Degraded                  // the instance serves, but has a problem
	NotServing                // the instance must not receive traffic
	Starting                  // there is no evidence about the health yet
	Draining                  // the instance shuts down on purpose
	Maintenance               // a person has taken the instance out of traffic
	// NumStatuses is the number of statuses.
	NumStatuses
)

// statusRow has the values that stand for one status in protocols, metrics, commands and HTTP.
type statusRow struct {
	name      string
	routable  bool
	wire      int32 // number in the enum meshhealth.v1.Status
	grpc      int32 // number in the enum ServingStatus of grpc.health.v1; at most 3
	metric    float64
	hasMetric bool
	exit      int // exit code of a command that prints the status
	http      int // HTTP status code of a readiness page
	severity  int // a status with a higher severity is worse
}

// statusTable has a row for each status. A test checks that no row is missing.
var statusTable = [NumStatuses]statusRow{
	Unknown:     {name: "UNKNOWN", wire: 0, grpc: 0, exit: 3, http: 503, severity: 5},
	Serving:     {name: "SERVING", routable: true, wire: 1, grpc: 1, metric: 2, hasMetric: true, exit: 0, http: 200, severity: 1},
	Degraded:    {name: "DEGRADED", routable: true, wire: 4, grpc: 1, metric: 1, hasMetric: true, exit: 1, http: 200, severity: 2},
	NotServing:  {name: "NOT_SERVING", wire: 2, grpc: 2, metric: 0, hasMetric: true, exit: 2, http: 503, severity: 6},
	Starting:    {name: "STARTING", wire: 5, grpc: 2, exit: 1, http: 503, severity: 4},
	Draining:    {name: "DRAINING", wire: 6, grpc: 2, exit: 1, http: 503, severity: 3},
	Maintenance: {name: "MAINTENANCE", wire: 7, grpc: 2, exit: 1, http: 503, severity: 3},
}

// Statuses returns every status, in the order in which the constants are declared.
func Statuses() []Status {
	all := make([]Status, NumStatuses)
	for i := range all {
		all[i] = Status(i)
	}
	return all
}

// row returns the row of s in statusTable. A value that is not a status has the row of Unknown.
func (s Status) row() *statusRow {
	if s >= NumStatuses {
		s = Unknown
	}
	return &statusTable[s]
}

// String returns the name of the status in meshhealth.v1 without its prefix, such as
// "NOT_SERVING".
func (s Status) String() string { return s.row().name }

// Routable reports whether traffic may be sent to an instance with this status.
func (s Status) Routable() bool { return s.row().routable }

// Wire returns the number of s in the proto enum meshhealth.v1.Status.
func (s Status) Wire() int32 { return s.row().wire }

// GRPC returns the number for s in the enum ServingStatus of grpc.health.v1. It is at most 3,
// because standard clients treat higher numbers as not serving.
func (s Status) GRPC() int32 { return s.row().grpc }

// Metric returns the value of s in metrics: 2 for SERVING, 1 for DEGRADED, 0 for
// NOT_SERVING. ok is false for a status that metrics do not show.
func (s Status) Metric() (value float64, ok bool) { return s.row().metric, s.row().hasMetric }

// ExitCode returns the exit code of a command that prints this status.
func (s Status) ExitCode() int { return s.row().exit }

// HTTP returns the HTTP status code of a readiness page that shows s.
func (s Status) HTTP() int { return s.row().http }

// InTrouble reports whether the status is DEGRADED, NOT_SERVING or UNKNOWN. These statuses
// need an explanation.
func (s Status) InTrouble() bool { return s == Degraded || s == NotServing || s == Unknown }

// WorseThan reports whether s is worse than t. From best to worst: Serving, Degraded,
// Draining and Maintenance, Starting, Unknown, NotServing.
func (s Status) WorseThan(t Status) bool { return s.row().severity > t.row().severity }

// StatusFromWire returns the status with the number n in the proto enum meshhealth.v1.Status.
// ok is false for unknown numbers and for 3. In this enum, 3 is SERVICE_UNKNOWN: the answer
// for an unknown name, which is not a status.
func StatusFromWire(n int32) (s Status, ok bool) {
	for s = range NumStatuses {
		if statusTable[s].wire == n {
			return s, true
		}
	}
	return Unknown, false
}

// ParseStatus returns the status that has a name, such as "NOT_SERVING". ok is false if the
// name is unknown.
func ParseStatus(name string) (s Status, ok bool) {
	for s = range NumStatuses {
		if statusTable[s].name == name {
			return s, true
		}
	}
	return Unknown, false
}

// MarshalText implements encoding.TextMarshaler. It returns the name of the status and not
// its number, because the numbers of the constants may change.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It accepts the name of a status.
func (s *Status) UnmarshalText(text []byte) error {
	parsed, ok := ParseStatus(string(text))
	if !ok {
		return fmt.Errorf("%q is not a status", text)
	}
	*s = parsed
	return nil
}
