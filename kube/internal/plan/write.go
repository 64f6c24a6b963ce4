package plan

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Write is one PATCH of an object.
type Write struct {
	Key
	// UID is the object for which the write was planned. The body has it too, so that an object that
	// was created again under the same name is not written.
	UID string
	// Status is true for a write of the status, and false for a write of the spec.
	Status bool
	// Strategic is true for a strategic merge patch, and false for a JSON merge patch.
	Strategic bool
	Body      []byte
	// Value is what the condition becomes; it is zero for a write of the spec.
	Value Value
}

// statusWrite returns the write that sets the condition of an object.
//
// A Pod merges conditions by their type, so that others' conditions stay. The conditions of a
// WorkloadEntry are one list without keys: the write has all of them, and a resource version, so that
// it fails if somebody has changed one of them.
func statusWrite(o *Object, v Value, now time.Time) Write {
	condition := map[string]any{"type": o.Kind.ConditionType(), "status": v.Status, "reason": v.Reason, "message": v.Message}
	condition["lastTransitionTime"] = now.UTC().Format(time.RFC3339)
	if old, ok := o.condition(); ok && old.Status == v.Status && o.transitionTime() != "" {
		condition["lastTransitionTime"] = o.transitionTime()
	}
	meta := map[string]any{"uid": o.UID}
	conditions := []map[string]any{condition}
	if o.Kind == WorkloadEntry {
		meta["resourceVersion"] = o.ResourceVersion
		conditions = mergeConditions(o.Conditions, condition)
	}
	return Write{
		Key: o.Key, UID: o.UID, Status: true, Strategic: o.Kind == Pod, Value: v,
		Body: body(map[string]any{"metadata": meta, "status": map[string]any{"conditions": conditions}}),
	}
}

// mergeConditions returns the conditions with the new one in the place of the first of its type.
// Further ones of this type are left out.
func mergeConditions(old []map[string]any, condition map[string]any) []map[string]any {
	var all []map[string]any
	placed := false
	for _, c := range old {
		switch {
		case c["type"] != condition["type"]:
			all = append(all, c)
		case !placed:
			all, placed = append(all, condition), true
		}
	}
	if !placed {
		all = append(all, condition)
	}
	return all
}

// weightWrite returns the write that changes the weight of an entry. While the entry is degraded, the
// annotation SavedWeight has the weight that it gets back, and the weight that was written. If the
// entry has another weight now, somebody else has changed it, and this is the weight that it gets
// back.
func weightWrite(o *Object, degraded bool) Write {
	own := o.Weight
	if o.Saved != nil && o.Weight == o.Saved.Written {
		own = o.Saved.Own
	}
	weight := own
	var annotation any // nil removes it
	if degraded && o.DegradedWeight != 0 {
		weight = o.DegradedWeight
		annotation = Weights{Own: own, Written: weight}.String()
	}
	spec := map[string]any{"weight": weight}
	if weight == 0 {
		spec["weight"] = nil
	}
	return Write{Key: o.Key, UID: o.UID, Body: body(map[string]any{
		"metadata": map[string]any{
			"uid": o.UID, "resourceVersion": o.ResourceVersion, "annotations": map[string]any{SavedWeight: annotation},
		},
		"spec": spec,
	})}
}

// needsWeight reports whether the weight of an entry must change.
func needsWeight(o *Object, degraded bool) bool {
	switch {
	case o.Kind != WorkloadEntry:
		return false
	case degraded && o.DegradedWeight != 0:
		return o.Saved == nil || o.Saved.Written != o.DegradedWeight || o.Weight != o.DegradedWeight
	}
	return o.Saved != nil
}

// Weights are the value of the annotation SavedWeight.
type Weights struct {
	Own     int64 // the weight that the entry gets back; 0 means none
	Written int64 // the weight that the writer has set
}

// String returns the value of the annotation, such as "100/10".
func (w Weights) String() string {
	return strconv.FormatInt(w.Own, 10) + "/" + strconv.FormatInt(w.Written, 10)
}

// ParseWeights parses the value of the annotation. It returns nil for other texts.
func ParseWeights(annotation string) *Weights {
	own, written, _ := strings.Cut(annotation, "/")
	w, errOwn := strconv.ParseUint(own, 10, 32)
	v, errWritten := strconv.ParseUint(written, 10, 32)
	if errOwn != nil || errWritten != nil {
		return nil
	}
	return &Weights{Own: int64(w), Written: int64(v)}
}

func body(fields map[string]any) []byte {
	text, err := json.Marshal(fields)
	if err != nil {
		panic("plan: conditions came from JSON, and are no JSON now: " + err.Error())
	}
	return text
}
