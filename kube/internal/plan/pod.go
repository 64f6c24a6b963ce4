package plan

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Labels of Pods that become fields of the registration. The node's zone and region are copied to
// Pods by the API server.
const (
	zoneLabel    = "topology.kubernetes.io/zone"
	regionLabel  = "topology.kubernetes.io/region"
	versionLabel = "app.kubernetes.io/version"
)

// fields are the fields of an object, as in JSON.
type fields = map[string]any

func at(o fields, path ...string) any {
	var v any = o
	for _, name := range path {
		m, _ := v.(fields)
		v = m[name]
	}
	return v
}

func textAt(o fields, path ...string) string {
	s, _ := at(o, path...).(string)
	return s
}

func listAt(o fields, path ...string) []fields {
	list, _ := at(o, path...).([]any)
	var all []fields
	for _, v := range list {
		if m, ok := v.(fields); ok {
			all = append(all, m)
		}
	}
	return all
}

// newObject returns an object with the fields that all kinds have.
func newObject(kind Kind, o fields) *Object {
	version := textAt(o, "metadata", "resourceVersion")
	number, _ := strconv.ParseUint(version, 10, 64) // 0 if an API server has other versions
	return &Object{
		Key:             Key{kind, textAt(o, "metadata", "namespace"), textAt(o, "metadata", "name")},
		UID:             textAt(o, "metadata", "uid"),
		ResourceVersion: version, Version: number,
		Service: textAt(o, "metadata", "annotations", Service),
	}
}

// PodOf returns the Object of a Pod. source is the source of its registration, if it is imported.
func PodOf(pod fields, source string) *Object {
	o := newObject(Pod, pod)
	for _, g := range listAt(pod, "spec", "readinessGates") {
		o.Gated = o.Gated || g["conditionType"] == Gate
	}
	for _, c := range listAt(pod, "status", "conditions") {
		if c["type"] == Gate {
			o.Conditions = append(o.Conditions, c)
		}
	}
	if host, _ := at(pod, "spec", "hostNetwork").(bool); !host {
		for _, ip := range listAt(pod, "status", "podIPs") {
			if address, err := netip.ParseAddr(text(ip, "ip")); err == nil {
				o.Addresses = append(o.Addresses, address.Unmap())
			}
		}
	}
	switch follow := textAt(pod, "metadata", "labels", Follow); follow {
	case FollowOnly:
	case FollowImport:
		var err error
		if o.Register, err = registrationOf(pod, source); err != nil {
			o.Fault = err.Error()
		}
	default:
		o.Fault = fmt.Sprintf("label %s: is %q; allowed: %s, %s", Follow, follow, FollowOnly, FollowImport)
	}
	return o
}

// registrationOf returns the registration of an imported Pod, or nil if it has no address yet or has
// ended. Whether the Pod is ready does not matter: its gate may wait for the registration.
func registrationOf(pod fields, source string) (*pb.Registration, error) {
	annotation := func(name string) string { return textAt(pod, "metadata", "annotations", name) }
	label := func(name string) string { return textAt(pod, "metadata", "labels", name) }
	if annotation(Service) == "" {
		return nil, fmt.Errorf("annotation %s: is missing; allowed: the name of a service", Service)
	}
	port, err := portOf(Port, annotation(Port))
	if err != nil {
		return nil, err
	}
	var traffic *pb.Traffic
	if given := annotation(TrafficPort); given != "" {
		number, err := portOf(TrafficPort, given)
		if err != nil {
			return nil, err
		}
		traffic = &pb.Traffic{Address: ":" + number}
	}
	ip, phase := textAt(pod, "status", "podIP"), textAt(pod, "status", "phase")
	if ip == "" || phase == "Succeeded" || phase == "Failed" {
		return nil, nil
	}
	namespace, name := textAt(pod, "metadata", "namespace"), textAt(pod, "metadata", "name")
	r := &pb.Registration{
		Service: annotation(Service), Instance: namespace + ":" + name, Address: net.JoinHostPort(ip, port),
		HealthName: annotation(HealthName), Static: true, Source: source, Traffic: traffic,
		Zone: label(zoneLabel), Region: label(regionLabel), Version: label(versionLabel),
		Labels: map[string]string{LabelUID: textAt(pod, "metadata", "uid"), LabelNamespace: namespace, LabelPod: name},
	}
	if _, err := wire.OneRegistration(r); err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	return r, nil
}

func portOf(name, value string) (string, error) {
	if n, err := strconv.ParseUint(value, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("annotation %s: is %q; allowed: 1 to 65535", name, value)
	}
	return value, nil
}

var errImport = errors.New("label " + Follow + ": is not " + FollowOnly + "; allowed on a WorkloadEntry: " + FollowOnly)

// EntryOf returns the Object of a WorkloadEntry.
func EntryOf(entry fields) *Object {
	o := newObject(WorkloadEntry, entry)
	o.Gated = true
	o.Conditions = listAt(entry, "status", "conditions")
	if address, err := netip.ParseAddr(textAt(entry, "spec", "address")); err == nil {
		o.Addresses = []netip.Addr{address.Unmap()}
	}
	o.Weight = numberAt(entry, "spec", "weight")
	o.Saved = ParseWeights(textAt(entry, "metadata", "annotations", SavedWeight))
	if textAt(entry, "metadata", "labels", Follow) != FollowOnly {
		o.Fault = errImport.Error()
	}
	if value := textAt(entry, "metadata", "labels", DegradedWeight); value != "" {
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 1 {
			o.Fault = fmt.Sprintf("label %s: is %q; allowed: 1 to 2147483647", DegradedWeight, value)
			n = 0
		}
		o.DegradedWeight = n
	}
	return o
}

func numberAt(o fields, path ...string) int64 {
	switch n := at(o, path...).(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}
