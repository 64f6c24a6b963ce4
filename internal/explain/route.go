package explain

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
)

// Route returns in words why routing clients see the instance with the state s as they do, such as
// "it is SERVING".
func Route(s *health.State) string {
	text := "it is " + s.Status.String()
	switch {
	case s.Route == health.RouteDuplicate:
		return fmt.Sprintf("another instance of its service has the endpoint %s", s.Endpoint)
	case s.Route == health.RouteNone:
		text += ", and nothing else was ever known of it"
	case s.RouteKept && s.Status == health.Unknown:
		text += ", so its route stays as it was"
	case s.RouteKept:
		text = "it cannot be reached, but without it less than half of the endpoints of its service would remain"
	}
	if s.Override != nil {
		text += " by an override"
	}
	if !s.Endpoint.IsValid() && s.Route.Routable() {
		text += "; the coordinator has not connected to it yet, so its IP address is not known"
	}
	return text
}

// route adds a sentence if routing clients see the instance in another way than its status says.
func (b *explainer) route() {
	s := b.s
	missing := s.Route.Routable() && !s.Endpoint.IsValid()
	if s.RouteKept && s.Route != health.RouteNone || s.Route == health.RouteDuplicate || missing {
		b.say("Routing clients see it as %s: %s", s.Route, Route(s))
	}
}
