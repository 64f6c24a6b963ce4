package graph

import "slices"

// Cycle searches from the nodes, in their order, for a path that returns to its first node.
// next returns the nodes that follow a node. Cycle returns the first such path, which begins
// and ends with the same node, or nil. Its recursion is as deep as the longest path.
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
