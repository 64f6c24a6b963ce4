package graph

import "slices"

// Cycle returns the first cycle that the search from the nodes, in their order, finds:
// from a node to the same node again. It is nil if there is none. The search recurses
// to the depth of the longest path.
func Cycle[N comparable](nodes []N, next func(N) []N) []N {
	const (
		onPath = 1 + iota
		done
	)
	state := map[N]int{}
	var path []N
	var visit func(n N) []N
	visit = func(n N) []N {
		switch state[n] {
		case done:
			return nil
		case onPath:
			return append(slices.Clone(path[slices.Index(path, n):]), n)
		}
		state[n], path = onPath, append(path, n)
		for _, m := range next(n) {
			if found := visit(m); found != nil {
				return found
			}
		}
		state[n], path = done, path[:len(path)-1]
		return nil
	}
	for _, n := range nodes {
		if found := visit(n); found != nil {
			return found
		}
	}
	return nil
}
