package health

import (
	"fmt"
	"testing"
)

func TestCheckDependencies(t *testing.T) {
	on := func(names ...string) ServicePolicy { return ServicePolicy{DependsOn: names} }
	for _, c := range []struct {
		services map[string]ServicePolicy
		want     []string
	}{
		{map[string]ServicePolicy{"a": on("b", "c"), "b": on("c")}, nil},
		{map[string]ServicePolicy{"a": {DependsOn: []string{"b"}, SoftDependsOn: []string{"c"}}, "c": {SoftDependsOn: []string{"a"}}}, nil},
		{map[string]ServicePolicy{"a": on("a")}, []string{"Services[a].DependsOn: goes round in a circle: a -> a"}},
		{map[string]ServicePolicy{"z": on("b"), "b": on("c", "x"), "c": on("d"), "d": on("b")}, []string{"Services[b].DependsOn: goes round in a circle: b -> c -> d -> b"}},
		{map[string]ServicePolicy{"a": on("b", "b")}, []string{"Services[a].DependsOn: b is there twice"}},
		{map[string]ServicePolicy{"a": {DependsOn: []string{"b"}, SoftDependsOn: []string{"b"}}}, []string{"b is there twice"}},
	} {
		checkErrors(t, fmt.Sprint(c.services), MeshPolicy{Services: c.services}.Validate(), c.want)
	}
}
