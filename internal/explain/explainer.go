package explain

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// explainer builds one explanation.
type explainer struct {
	s     *health.State
	input *Input
	view  *mesh.InstanceView // nil for an aggregate, and without an inspection
	out   Explanation
}

func (b *explainer) may(id health.ID) bool { return b.input.May == nil || b.input.May(id) }

func (b *explainer) policy(service string) health.ServicePolicy {
	if b.input.Policy == nil {
		return health.ServicePolicy{}
	}
	return b.input.Policy(service)
}

func (b *explainer) add(e Evidence) { b.out.Evidence = append(b.out.Evidence, e) }

// say adds evidence that is a text only.
func (b *explainer) say(source, format string, args ...any) {
	b.add(Evidence{Source: source, Text: fmt.Sprintf(format, args...)})
}
