package health

// Status is what is published about a check, an instance, a service or the
// mesh. The zero value is Unknown.
type Status uint8

// The statuses. Serving and Degraded are routable, the others are not.
const (
	Unknown     Status = iota // nothing trustworthy is known
	Serving                   // fully able to serve
	Degraded                  // serves, with a problem somebody should look at
	NotServing                // must not receive traffic
	Starting                  // no evidence yet
	Draining                  // leaving on purpose
	Maintenance               // taken out by a person
	// NumStatuses is how many there are.
	NumStatuses
)

// statusRow is all that the outside vocabularies make of one status.
type statusRow struct {
	name      string
	routable  bool
	wire      int32 // meshhealth.v1.Status
	grpc      int32 // grpc.health.v1 ServingStatus; never above 3
	metric    float64
	hasMetric bool
	exit      int
	http      int
	severity  int // worst-of: higher wins
}

// statusTable is total: a test fails for a status without its row.
var statusTable = [NumStatuses]statusRow{
	Unknown:     {name: "UNKNOWN", wire: 0, grpc: 0, exit: 3, http: 503, severity: 5},
	Serving:     {name: "SERVING", routable: true, wire: 1, grpc: 1, metric: 2, hasMetric: true, exit: 0, http: 200, severity: 1},
	Degraded:    {name: "DEGRADED", routable: true, wire: 4, grpc: 1, metric: 1, hasMetric: true, exit: 1, http: 200, severity: 2},
	NotServing:  {name: "NOT_SERVING", wire: 2, grpc: 2, metric: 0, hasMetric: true, exit: 2, http: 503, severity: 6},
	Starting:    {name: "STARTING", wire: 5, grpc: 2, exit: 1, http: 503, severity: 4},
	Draining:    {name: "DRAINING", wire: 6, grpc: 2, exit: 1, http: 503, severity: 3},
	Maintenance: {name: "MAINTENANCE", wire: 7, grpc: 2, exit: 1, http: 503, severity: 3},
}

// Statuses returns every status, in the order of their constants.
func Statuses() []Status {
	all := make([]Status, NumStatuses)
	for i := range all {
		all[i] = Status(i)
	}
	return all
}

// row returns s's row; a value out of range reads as Unknown.
func (s Status) row() *statusRow {
	if s >= NumStatuses {
		s = Unknown
	}
	return &statusTable[s]
}

// String returns the wire name without its prefix, such as "NOT_SERVING".
func (s Status) String() string { return s.row().name }

// Routable reports whether traffic may be sent.
func (s Status) Routable() bool { return s.row().routable }

// Wire returns the number of meshhealth.v1.Status.
func (s Status) Wire() int32 { return s.row().wire }

// GRPC returns the number of grpc.health.v1's ServingStatus. It is never above
// 3: every stock client takes an unknown number for dead.
func (s Status) GRPC() int32 { return s.row().grpc }

// Metric returns the value of `*_status` metrics: 2, 1 or 0, and whether the
// status has one at all.
func (s Status) Metric() (value float64, ok bool) { return s.row().metric, s.row().hasMetric }

// ExitCode returns what a command that asks for this status exits with.
func (s Status) ExitCode() int { return s.row().exit }

// HTTP returns the readiness status code.
func (s Status) HTTP() int { return s.row().http }

// WorseThan reports whether s is worse than t, by how much harm believing the
// better one would do.
func (s Status) WorseThan(t Status) bool { return s.row().severity > t.row().severity }

// Worse returns the worse of both, s if they are equally bad.
func Worse(s, t Status) Status {
	if t.WorseThan(s) {
		return t
	}
	return s
}

// StatusFromWire returns the status with this number of meshhealth.v1.Status.
// It has none for 3 (SERVICE_UNKNOWN, which is an answer and no status) and
// for numbers out of range.
func StatusFromWire(n int32) (Status, bool) {
	for s := range NumStatuses {
		if statusTable[s].wire == n {
			return s, true
		}
	}
	return Unknown, false
}

// ParseStatus returns the status of this name.
func ParseStatus(name string) (Status, bool) {
	for s := range NumStatuses {
		if statusTable[s].name == name {
			return s, true
		}
	}
	return Unknown, false
}

// WorstExitCode returns the exit code for several statuses: the worst of
// 0 < 1 < 3 < 2.
func WorstExitCode(codes ...int) int {
	rank := map[int]int{0: 0, 1: 1, 3: 2, 2: 3}
	worst := 0
	for _, c := range codes {
		if rank[c] > rank[worst] {
			worst = c
		}
	}
	return worst
}
