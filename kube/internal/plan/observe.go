package plan

import (
	"net/netip"

	"github.com/meshhealth/meshhealth/health"
)

// Observe takes note of an object that was added or changed. An object that is older than the known
// one is ignored.
func (p *Planner) Observe(o *Object) {
	known := p.objects[o.Key]
	switch {
	case known != nil && o.Version < known.Version:
		return
	case known != nil && known.UID == o.UID:
		p.unindex(known)
		known.Object, known.refused = o, false
		p.index(known)
		p.imports.object(o)
		p.decide(known)
		return
	case known != nil:
		p.forget(known)
	}
	fresh := &object{Object: o, degraded: o.Saved != nil}
	p.objects[o.Key] = fresh
	p.index(fresh)
	p.imports.object(o)
	p.decide(fresh)
}

// Forget takes note of the deletion of an object. version is its last version.
func (p *Planner) Forget(key Key, version uint64) {
	if known := p.objects[key]; known != nil && known.Version <= version {
		p.forget(known)
		p.imports.forget(key)
	}
}

// Replace takes note of all objects of a kind. version is the version of the list: an object that is
// not in the list was deleted, unless it is newer.
func (p *Planner) Replace(kind Kind, all []*Object, version uint64) {
	listed := make(map[Key]bool, len(all))
	for _, o := range all {
		listed[o.Key] = true
		p.Observe(o)
	}
	for key := range p.objects {
		if key.Kind == kind && !listed[key] {
			p.Forget(key, version)
		}
	}
	if kind == Pod {
		p.imports.podsListed()
		p.imports.reconcile(p.mesh.byID)
	}
}

func (p *Planner) forget(o *object) {
	p.unindex(o)
	delete(p.objects, o.Key)
	delete(p.undecided, o)
	o.gone = true
}

func (p *Planner) index(o *object) {
	if o.Kind == Pod {
		p.byUID[o.UID] = o
	}
	for _, at := range o.Addresses {
		if p.byAddress[at] == nil {
			p.byAddress[at] = map[Key]*object{}
		}
		p.byAddress[at][o.Key] = o
	}
}

func (p *Planner) unindex(o *object) {
	if p.byUID[o.UID] == o {
		delete(p.byUID, o.UID)
	}
	for _, at := range o.Addresses {
		if p.byAddress[at][o.Key] != o {
			continue
		}
		if delete(p.byAddress[at], o.Key); len(p.byAddress[at]) == 0 {
			delete(p.byAddress, at)
		}
	}
}

// Update is one message of the coordinator's Watch.
type Update struct {
	Instances []*Instance
	Removed   []health.ID
	// Epoch means the same as in client.Update.
	Epoch uint64
	// Snapshot, SnapshotEnd, Gap and Stale mean the same as in client.Update.
	Snapshot, SnapshotEnd, Gap, Stale bool
}

// snapshot is the state of the snapshot that the coordinator sends.
type snapshot struct {
	seen     map[health.ID]bool // instances of an unfinished snapshot; nil if there is none
	complete bool               // true if there was a complete snapshot
}

// Mesh takes note of a message of the coordinator. Nothing is decided before the end of the first
// snapshot: until then, an object may have instances that the writer does not know.
func (p *Planner) Mesh(u Update) {
	if u.Stale {
		p.snapshot.seen = nil
		return
	}
	if u.Epoch != p.epoch {
		p.epoch = u.Epoch
		clear(p.mesh.heard)
	}
	if u.Snapshot && (p.snapshot.seen == nil || u.Gap) {
		p.snapshot.seen = map[health.ID]bool{}
	}
	for _, i := range u.Instances {
		if u.Snapshot {
			p.snapshot.seen[i.ID] = true
		}
		p.change(i.ID, i)
	}
	for _, id := range u.Removed {
		p.change(id, nil)
	}
	if u.SnapshotEnd {
		p.endSnapshot()
	}
}

// endSnapshot removes the instances that are in no part of the snapshot. Their objects keep what was
// decided last. So an empty snapshot takes no object out.
func (p *Planner) endSnapshot() {
	for id := range p.mesh.byID {
		if !p.snapshot.seen[id] {
			p.change(id, nil)
		}
	}
	first := !p.snapshot.complete
	p.snapshot = snapshot{complete: true}
	if first {
		for _, o := range p.objects {
			p.decide(o)
		}
	}
	p.imports.reconcile(p.mesh.byID)
}

// change replaces an instance, or removes it if i is nil, and decides about its objects again.
func (p *Planner) change(id health.ID, i *Instance) {
	old := p.mesh.byID[id]
	if i != nil {
		p.mesh.put(i)
	} else {
		p.mesh.remove(id)
	}
	p.imports.instance(id, old, i)
	touched := map[*object]bool{}
	for _, version := range []*Instance{old, i} {
		if version == nil {
			continue
		}
		if o := p.byUID[version.UID]; o != nil && version.UID != "" {
			touched[o] = true
		}
		for _, o := range p.byAddress[addressOf(version)] {
			touched[o] = true
		}
	}
	for o := range touched {
		p.decide(o)
	}
}

// addressOf returns the address by which an object finds an instance. It is not valid for an
// instance with a UID.
func addressOf(i *Instance) netip.Addr {
	if i.UID != "" {
		return netip.Addr{}
	}
	return i.Address
}

// Stats are figures about a Planner.
type Stats struct {
	Objects   [NumKinds]int // objects of each kind
	Instances int           // instances of the mesh
	Undecided int           // objects of which nothing is known
	Waiting   int           // objects that wait for a write
	InFlight  int           // writes that wait for an answer
	Decided   uint64        // changes of what an object should be, since the start
	Imported  int           // Pods that should be registered
	Faulty    int           // objects whose labels or annotations are not valid
}

// Stats returns the present figures.
func (p *Planner) Stats() Stats {
	s := Stats{
		Instances: len(p.mesh.byID), Undecided: len(p.undecided), Waiting: len(p.queue) + len(p.burst),
		InFlight: p.flying, Decided: p.decided, Imported: len(p.imports.wanted),
	}
	for key, o := range p.objects {
		s.Objects[key.Kind]++
		if o.Fault != "" {
			s.Faulty++
		}
	}
	return s
}
