package input

import (
	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Traffic returns a Reader of a mapping that says where an instance receives traffic. The reader
// does not compare the address with the address for health calls, because it does not see the latter.
func Traffic(address *string, weight *uint32, tlsNames *[]string) Reader {
	return Object(Fields{
		"address": Text(address, wire.CheckAddress),
		"weight": func(p *Problems, path string, n *yaml.Node) {
			var number int
			Count(&number, health.MaxWeight, false)(p, path, n)
			*weight = uint32(number) // #nosec G115 -- Count allows 0 to MaxWeight
		},
		"tls_names": List(func(int) Reader {
			return func(p *Problems, path string, n *yaml.Node) {
				var name string
				Text(&name, func(one string) error { return wire.CheckTLSNames([]string{one}) })(p, path, n)
				*tlsNames = append(*tlsNames, name)
			}
		}),
	})
}
