package feed

import (
	"iter"
	"slices"

	"github.com/tidwall/btree"

	"github.com/meshhealth/meshhealth/health"
)

// tree holds entries by name. After a tree was copied, the copy and the original share each
// node until one of them changes the node.
type tree = btree.BTreeG[leaf]

// leaf is one item of a tree: a name and its entry.
type leaf struct {
	id    health.ID
	entry *Entry
}

// degree is the degree of the B-tree. With this value, one change of the tree copies nodes of
// about 4 KiB.
const degree = 8

func newTree() *tree {
	less := func(a, b leaf) bool { return a.id.Compare(b.id) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: degree})
}

// Cut is an immutable view of all entries that were current at one revision. It contains
// either all changes of a batch or none of them. Readers of a Cut need no lock. [Feed.Cut]
// copies no entries.
type Cut struct {
	tree     *tree
	revision uint64
}

// Revision returns the revision of the last change that the cut contains.
func (c Cut) Revision() uint64 { return c.revision }

// Len returns the number of entries.
func (c Cut) Len() int { return c.tree.Len() }

// Get returns the entry of a name.
func (c Cut) Get(id health.ID) (*Entry, bool) {
	found, ok := c.tree.Get(leaf{id: id})
	return found.entry, ok
}

// Of yields the entries of the given services, or all entries if no service is given. It
// yields each entry once, sorted by name.
func (c Cut) Of(services ...string) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) { c.scan(leaf{}, true, services, yield) }
}

// After yields the entries that Of yields, but only those whose name comes after id. Its cost
// depends only on the number of entries that it yields.
func (c Cut) After(id health.ID, services ...string) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) { c.scan(leaf{id: id}, false, services, yield) }
}

// scan yields the entries of the given services that come after the name from.id. If
// inclusive is true, it also yields the entry of from.id. No services means all services.
func (c Cut) scan(from leaf, inclusive bool, services []string, yield func(*Entry) bool) {
	yieldLeaf := func(l leaf) bool { return l.id == from.id && !inclusive || yield(l.entry) }
	if len(services) == 0 {
		c.tree.Ascend(from, yieldLeaf)
		return
	}
	for _, name := range sortedUnique(services) {
		start, more := leaf{id: health.ID{Service: name}}, true
		if start.id.Compare(from.id) < 0 {
			start = from
		}
		c.tree.Ascend(start, func(l leaf) bool {
			more = l.id.Service != name || yieldLeaf(l)
			return more && l.id.Service == name
		})
		if !more {
			return
		}
	}
}

func sortedUnique(services []string) []string {
	if len(services) <= 1 {
		return services
	}
	return slices.Compact(slices.Sorted(slices.Values(services)))
}

// Aggregates yields the entries whose ID has an empty Instance: services, the mesh and the
// publisher itself. Its cost depends on the number of services, and not of instances.
func (c Cut) Aggregates() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for at, more := "", true; more; {
			more = false
			c.tree.Ascend(leaf{id: health.ID{Service: at}}, func(l leaf) bool {
				more = l.id.Instance != "" || yield(l.entry)
				at = l.id.Service + "\x00" // the smallest name that sorts after l.id.Service
				return false
			})
		}
	}
}

// named yields the entries of the given names. It skips a name that has no entry.
func (c Cut) named(ids []health.ID) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, id := range ids {
			if e, ok := c.Get(id); ok && !yield(e) {
				return
			}
		}
	}
}
