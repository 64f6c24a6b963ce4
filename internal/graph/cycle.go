package graph

import "slices"

// Cycle searches a directed graph for a cycle, and starts at each of the nodes in turn. The
// function next returns the nodes to which a node has edges. Cycle returns the path of the first
// cycle, which begins and ends with the same node. It returns nil if there is no cycle. The
// recursion is as deep as the longest path.
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
