package plan

import (
	"net/netip"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// Kind is a kind of object whose health the writer publishes.
type Kind uint8

// The kinds.
const (
	Pod Kind = iota
	WorkloadEntry
	NumKinds
)

// String returns the name of the kind.
func (k Kind) String() string {
	if k == WorkloadEntry {
		return "WorkloadEntry"
	}
	return "Pod"
}

// Names on objects. The label Follow selects the objects; all others are optional.
const (
	// Follow is the label of an object whose health the writer publishes. Its value is FollowOnly or
	// FollowImport.
	Follow = "meshhealth.dev/follow"
	// FollowOnly means that the process registers itself.
	FollowOnly = "true"
	// FollowImport means that the writer registers the Pod with the coordinator.
	FollowImport = "import"
	// DegradedWeight is the label of a WorkloadEntry with its weight while it is DEGRADED.
	DegradedWeight = "meshhealth.dev/degraded-weight"
	// SavedWeight is the annotation with the weight that the entry gets back afterwards. The
	// writer sets it.
	SavedWeight = "meshhealth.dev/saved-weight"
	// Service is the annotation with the name of the service.
	Service = "meshhealth.dev/service"
	// Port is the annotation with the port for health calls.
	Port = "meshhealth.dev/port"
	// TrafficPort is the annotation with the port that receives traffic, if it differs from Port.
	TrafficPort = "meshhealth.dev/traffic-port"
	// HealthName is the annotation with the service name in health calls.
	HealthName = "meshhealth.dev/health-name"
)

// Labels of an instance that say which Pod it is. The names are those of OpenTelemetry.
const (
	LabelUID       = "k8s.pod.uid"
	LabelNamespace = "k8s.namespace.name"
	LabelPod       = "k8s.pod.name"
)

// Condition types.
const (
	// Gate is the type of the readiness gate, and of the condition that the writer sets on Pods.
	Gate = "meshhealth.dev/routable"
	// Healthy is the type of the condition of a WorkloadEntry that istiod reads.
	Healthy = "Healthy"
)

// ConditionType returns the type of the condition that the writer sets on objects of the kind.
func (k Kind) ConditionType() string {
	if k == WorkloadEntry {
		return Healthy
	}
	return Gate
}

// Key names an object.
type Key struct {
	Kind            Kind
	Namespace, Name string
}

// String returns the name as "Pod shop/hello-1".
func (k Key) String() string { return k.Kind.String() + " " + k.Namespace + "/" + k.Name }

// Object is what the writer needs to know of an object. It is immutable.
type Object struct {
	Key
	UID string
	// ResourceVersion is the version of the object, and Version is the same as a number. Of two
	// versions of objects of one kind, the higher number is the later one.
	ResourceVersion string
	Version         uint64
	// Addresses are the IP addresses that no other object has. They are empty for a Pod in the
	// network of its node.
	Addresses []netip.Addr
	// Service limits the instances that belong to the object by address to one service. Empty means
	// all services.
	Service string
	// Gated reports that the object waits for the condition: a Pod with the readiness gate, and
	// every WorkloadEntry.
	Gated bool
	// Conditions are the conditions in the status, in their order. Those of a Pod are only the ones
	// with the type Gate.
	Conditions []map[string]any
	// Register is the registration of an imported Pod. It is nil if the Pod is not imported, has no
	// address yet, or has ended.
	Register *pb.Registration
	// Fault says why the labels or annotations of the object are not valid. Empty means that they
	// are.
	Fault string
	// Weight is spec.weight of a WorkloadEntry; 0 means that it has none.
	Weight int64
	// DegradedWeight is the weight while DEGRADED; 0 means that the weight does not change.
	DegradedWeight int64
	// Saved is the annotation SavedWeight, or nil.
	Saved *Weights
}

// condition returns the first condition of the type that the writer sets.
func (o *Object) condition() (Value, bool) {
	for _, c := range o.Conditions {
		if text(c, "type") == o.Kind.ConditionType() {
			return Value{Status: text(c, "status"), Reason: text(c, "reason"), Message: text(c, "message")}, true
		}
	}
	return Value{}, false
}

// transitionTime returns when the status of the condition last changed, as the object says.
func (o *Object) transitionTime() string {
	for _, c := range o.Conditions {
		if text(c, "type") == o.Kind.ConditionType() {
			return text(c, "lastTransitionTime")
		}
	}
	return ""
}

func text(fields map[string]any, name string) string {
	s, _ := fields[name].(string)
	return s
}

// Value is a condition as the writer sets it.
type Value struct {
	Status  string // True or False
	Reason  string // one word
	Message string // a sentence for people; a change of it alone is not written
}

// The statuses of a condition.
const (
	True  = "True"
	False = "False"
)
