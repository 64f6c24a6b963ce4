package feed

import "github.com/meshhealth/meshhealth/health"

// These constants are upper bounds for the sizes of the parts of an entry, in bytes, without
// texts. A name that ends with Bytes is the size of a part in memory, with the overhead of the
// allocator. A name that ends with Wire is the size of the same part in encoded form.
const (
	entryBytes     = 768
	entryWire      = 192
	labelBytes     = 96
	labelWire      = 8
	checkBytes     = 192
	checkWire      = 96
	gaugeBytes     = 96
	gaugeWire      = 24
	nameBytes      = 32
	dependencyWire = 12
	countsBytes    = 256
	batchBytes     = 512
)

const (
	// protobufCopies is the largest number of copies of an entry in the format Protobuf that may be stored.
	protobufCopies = maxCopies
	// removalCopies bounds the copies of a removal in the format JSON, which is at most eight times
	// as large as Protobuf.
	removalCopies = 8 * maxCopies
)

// sizeOf returns an upper bound for the number of bytes that the log needs for the state s. The
// bound includes all encoded copies that the log keeps. removed is true for a removal.
func sizeOf(s *health.State, removed bool) int {
	memory, wire := entryBytes, entryWire
	addTexts := func(texts ...string) {
		for _, t := range texts {
			memory += len(t)
			wire += len(t)
		}
	}
	addTexts(s.ID.Service, s.ID.Instance, s.Reason, s.Root, s.Via)
	for i := range s.Dependencies {
		addTexts(s.Dependencies[i].Service)
	}
	memory, wire = memory+len(s.Dependencies)*nameBytes, wire+len(s.Dependencies)*dependencyWire
	if o := s.Override; o != nil {
		addTexts(o.Author, o.Reason, o.Scope.String())
	}
	if spec := s.Spec; spec != nil {
		addTexts(spec.Address, spec.HealthName, spec.Incarnation, spec.Zone, spec.Version, spec.ServerName)
		addTexts(spec.Traffic.Address, spec.Region, spec.Source)
		addTexts(spec.Traffic.TLSNames...)
		memory, wire = memory+len(spec.Traffic.TLSNames)*nameBytes, wire+len(spec.Traffic.TLSNames)*labelWire
		memory, wire = memory+len(spec.Labels)*labelBytes, wire+len(spec.Labels)*labelWire
		for key, value := range spec.Labels {
			addTexts(key, value)
		}
	}
	memory, wire = memory+len(s.Checks)*checkBytes, wire+len(s.Checks)*checkWire
	for i := range s.Checks {
		addTexts(s.Checks[i].Name, s.Checks[i].Reason, s.Checks[i].Unit)
	}
	if s.Metrics != nil {
		memory, wire = memory+len(s.Metrics.Gauges)*gaugeBytes, wire+len(s.Metrics.Gauges)*gaugeWire
		for name := range s.Metrics.Gauges {
			addTexts(name)
		}
	}
	if s.Counts != nil {
		memory, wire = memory+countsBytes, wire+countsBytes
	}
	wire += wire / 8 // the allocator rounds a size up by at most an eighth
	if removed {
		memory += removalCopies * wire
	}
	return memory + protobufCopies*wire
}
