package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func routesCommand(a *app) *cobra.Command {
	var (
		t   target
		out output
	)
	cmd := &cobra.Command{
		Use:   "routes SERVICE",
		Short: "Print which instances get traffic, and why",
		Long: `Print each instance of a service as routing clients see it, and why.

ROUTE is what they learn of the instance, with the sign of its status. ENVOY is its
health in the endpoints for Envoy, which sends degraded endpoints the traffic that the
healthy ones cannot take. GRPC is its place in the endpoints for gRPC: the priority,
the locality, and the share of all traffic with the policy round_robin. - means that
the endpoint is left out.`,
		Example: `  meshhealth routes payments
  meshhealth routes payments -o json | jq -r '.instances[] | select(.plain.present).health.endpoint'`,
		Args: exactlyOne("SERVICE"),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := errors.Join(out.check(cmd), checkServiceArg(cmd, names[0])); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return a.routes(ctx, conn, &out, names[0])
			})
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	return cmd
}

// checkServiceArg checks an argument that is the name of a service.
func checkServiceArg(cmd *cobra.Command, name string) error {
	var errs fields.Errors
	errs.Add("SERVICE", wire.CheckService(name))
	return usageAll(cmd, errs.Join())
}

// routes prints JSON as soon as a page is received, and a table when all pages are received.
func (a *app) routes(ctx context.Context, conn *connection, out *output, service string) error {
	all := &pb.ListRoutesResponse{}
	for page, err := range conn.routes(ctx, service) {
		if err != nil {
			return err
		}
		if out.json() {
			if err := printJSON(a.stdout, page); err != nil {
				return err
			}
			continue
		}
		page.Instances = append(all.GetInstances(), page.GetInstances()...)
		all = page
	}
	if out.json() {
		return nil
	}
	return printRoutes(a, out, service, all)
}

// routes yields the routes of a service, page by page. An error ends the pages.
func (conn *connection) routes(ctx context.Context, service string) iter.Seq2[*pb.ListRoutesResponse, error] {
	return func(yield func(*pb.ListRoutesResponse, error) bool) {
		req := &pb.ListRoutesRequest{Service: service, PageSize: wire.MaxPage}
		for {
			page, err := conn.admin.ListRoutes(ctx, req)
			switch {
			case status.Code(err) == codes.NotFound:
				yield(nil, conn.unknownName(ctx, service))
				return
			case err != nil:
				yield(nil, conn.callError(err))
				return
			case !yield(page, nil):
				return
			}
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				return
			}
		}
	}
}

func printRoutes(a *app, out *output, service string, r *pb.ListRoutesResponse) error {
	p := a.pen(out.colour)
	if _, err := fmt.Fprintln(a.stdout, p.paint(strong, wire.Clean(service))+gap+routesHeadline(r)); err != nil {
		return err
	}
	if len(r.GetInstances()) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	shares := sharesOf(r.GetInstances())
	t := table{head: []string{"ROUTE", "NAME", "ENDPOINT", "REGION/ZONE", "WEIGHT", "ENVOY", "GRPC", "WHY"}}
	for i, one := range r.GetInstances() {
		h := one.GetHealth()
		t.add(p.route(h), cell{text: nameOf(h)}, cell{text: orDash(h.GetEndpoint())}, cell{text: placeOf(h.GetRegion(), h.GetZone(), "")},
			cell{text: fmt.Sprint(max(1, h.GetTraffic().GetWeight()))}, cell{text: envoyPlace(one.GetSpillover())},
			cell{text: plainPlace(h, one.GetPlain(), shares[i])}, cell{text: one.GetWhy()})
	}
	return t.print(a.stdout, p, a.columns)
}

// routesHeadline says how much of a service gets traffic.
func routesHeadline(r *pb.ListRoutesResponse) string {
	text := fmt.Sprintf("%d of %s get traffic", r.GetRoutable(), plural(int(r.GetCounted()), "endpoint"))
	if n := r.GetHeld(); n > 0 {
		text += fmt.Sprintf(", %d of these cannot be reached and are kept by the panic threshold", n)
	}
	switch percent := r.GetHealthyPercent(); {
	case r.GetRoutable() == 0:
		return text
	case percent == 0:
		return text + ", none of them healthy"
	default:
		return text + fmt.Sprintf("; with gRPC the healthy ones get %d %% of the traffic", percent)
	}
}

// route returns the table cell for the route of an instance, with the symbol of its status.
func (p pen) route(h *pb.Health) cell {
	status := p.status(h.GetStatus())
	sign, _, _ := strings.Cut(status.text, " ")
	return cell{text: sign + " " + health.RouteFromWire(int32(h.GetRoute())).String(), style: status.style}
}

func envoyPlace(place *pb.Placement) string {
	if !place.GetPresent() {
		return "-"
	}
	return place.GetHealth()
}

// plainPlace says where an endpoint is in the rendering for gRPC. share is its part of all traffic.
func plainPlace(h *pb.Health, place *pb.Placement, share float64) string {
	if !place.GetPresent() {
		return "-"
	}
	return fmt.Sprintf("P%d %s %.1f %%", place.GetPriority(), placeOf(h.GetRegion(), h.GetZone(), place.GetSubZone()), 100*share)
}

// placeOf returns a locality, such as eu/eu-1.
func placeOf(region, zone, subZone string) string {
	text := orDash(region) + "/" + orDash(zone)
	if region == "" && zone == "" {
		text = "-"
	}
	if subZone != "" {
		text += "/" + subZone
	}
	return text
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// sharesOf returns the share of all traffic that each instance gets from a client with the plain
// rendering and the policy round_robin: 0 to 1. Such a client divides the share of a locality evenly.
func sharesOf(instances []*pb.RoutedInstance) []float64 {
	type locality struct{ region, zone, subZone string }
	of := func(one *pb.RoutedInstance) locality {
		return locality{one.GetHealth().GetRegion(), one.GetHealth().GetZone(), one.GetPlain().GetSubZone()}
	}
	first := func(one *pb.RoutedInstance) bool {
		return one.GetPlain().GetPresent() && one.GetPlain().GetPriority() == 0
	}
	sizes, total := map[locality]int{}, 0.0
	for _, one := range instances {
		if !first(one) {
			continue
		}
		if sizes[of(one)]++; sizes[of(one)] == 1 {
			total += float64(one.GetPlain().GetLocalityWeight())
		}
	}
	shares := make([]float64, len(instances))
	for i, one := range instances {
		if first(one) && total > 0 {
			shares[i] = float64(one.GetPlain().GetLocalityWeight()) / total / float64(sizes[of(one)])
		}
	}
	return shares
}
