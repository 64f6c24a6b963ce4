package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func xdsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "xds", Short: "Show what Envoy and gRPC clients have received",
		Long: "Show which xDS clients are connected to the coordinator, and what they have received.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(xdsStatusCommand(a), xdsDiffCommand(a))
	return cmd
}

func xdsStatusCommand(a *app) *cobra.Command {
	var (
		t   target
		out output
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print the connected xDS clients, and what they reject",
		Long: `Print the connected xDS clients, and then the latest rejections of all clients.

RENDERING says which endpoints a client gets: spill-over (with DEGRADED, as for Envoy)
or plain (as for gRPC). BEHIND is the number of its resources whose current version it
has not acknowledged; ` + "`meshhealth xds diff NODE`" + ` lists them. REJECTED counts the
responses that it has rejected.`,
		Example: "  meshhealth xds status",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(cmd); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return xdsStatus(a, ctx, conn, &out)
			})
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	return cmd
}

func xdsStatus(a *app, ctx context.Context, conn *connection, out *output) error {
	var clients []*pb.XDSClient
	for c, err := range conn.xdsClients(ctx) {
		if err != nil {
			return err
		}
		if !out.json() {
			clients = append(clients, c)
		} else if err := printJSON(a.stdout, c); err != nil {
			return err
		}
	}
	if out.json() {
		return nil
	}
	state, err := conn.admin.GetCoordinator(ctx, &pb.GetCoordinatorRequest{})
	if err != nil {
		return conn.callError(err)
	}
	if len(clients) == 0 {
		a.say("No xDS client is connected. `meshhealth envoy bootstrap --help` says how one connects. After a restart, clients may need two minutes.")
	} else if err := printXDSClients(a, out, clients); err != nil {
		return err
	}
	return printRejections(a, out, state.GetXdsRejections())
}

// xdsClients yields the connected xDS clients in the order in which they connected. An error ends
// them.
func (conn *connection) xdsClients(ctx context.Context) iter.Seq2[*pb.XDSClient, error] {
	return func(yield func(*pb.XDSClient, error) bool) {
		req := &pb.ListXDSClientsRequest{PageSize: wire.MaxPage}
		for {
			page, err := conn.admin.ListXDSClients(ctx, req)
			if err != nil {
				yield(nil, conn.callError(err))
				return
			}
			for _, c := range page.GetClients() {
				if !yield(c, nil) {
					return
				}
			}
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				return
			}
		}
	}
}

func printXDSClients(a *app, out *output, clients []*pb.XDSClient) error {
	p, now := a.pen(out.colour), a.now()
	t := table{head: []string{"NODE", "CLUSTER", "STREAM", "RENDERING", "PROTOCOL", "FOR", "BEHIND", "REJECTED", "SUBSCRIBES TO", "PROGRAM"}}
	for _, c := range clients {
		behind, rejected := uint64(0), uint64(0)
		for _, s := range c.GetSubscriptions() {
			behind, rejected = behind+uint64(s.GetBehind()), rejected+s.GetRejected()
		}
		t.add(cell{text: c.GetNode()}, cell{text: orDash(c.GetCluster())}, cell{text: fmt.Sprint(c.GetStream())}, cell{text: renderingOf(c)},
			cell{text: protocolOf(c)}, cell{text: age(now.Sub(c.GetSince().AsTime()))}, counted(behind, warning), counted(rejected, bad),
			cell{text: subscriptionsOf(c)}, cell{text: orDash(c.GetUserAgent()) + " at " + orDash(c.GetPeer())})
	}
	return t.print(a.stdout, p, a.columns)
}

// counted returns the table cell for a count. A count above 0 gets the style.
func counted(n uint64, s style) cell {
	if n == 0 {
		s = faint
	}
	return cell{text: fmt.Sprint(n), style: s}
}

func renderingOf(c *pb.XDSClient) string {
	if c.GetPlain() {
		return "plain"
	}
	return "spill-over"
}

func protocolOf(c *pb.XDSClient) string {
	if c.GetDelta() {
		return "delta"
	}
	return "full state"
}

// xdsTypes has the usual names of the types of resources.
var xdsTypes = map[string]string{
	"type.googleapis.com/envoy.config.listener.v3.Listener":              "LDS",
	"type.googleapis.com/envoy.config.route.v3.RouteConfiguration":       "RDS",
	"type.googleapis.com/envoy.config.cluster.v3.Cluster":                "CDS",
	"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment": "EDS",
}

func xdsTypeOf(url string) string {
	return cmp.Or(xdsTypes[url], url[strings.LastIndexByte(url, '.')+1:])
}

// subscriptionsOf returns the subscriptions of a client as a text, such as "2 CDS, 2 EDS".
func subscriptionsOf(c *pb.XDSClient) string {
	var parts []string
	for _, s := range c.GetSubscriptions() {
		number := fmt.Sprint(s.GetSubscribed())
		if s.GetWildcard() {
			number = "all"
		}
		parts = append(parts, number+" "+xdsTypeOf(s.GetTypeUrl()))
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing yet")
}

// printRejections prints rejections, also those by clients that are not connected any more.
func printRejections(a *app, out *output, rejections []*pb.XDSRejection) error {
	if len(rejections) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	p, now := a.pen(out.colour), a.now()
	t := table{head: []string{"REJECTED", "AGO", "BY", "TYPE", "RESOURCES", "WHY"}}
	for _, r := range rejections {
		at := r.GetAt().AsTime()
		t.add(cell{at.In(a.zone).Format(stamp), faint}, cell{text: age(now.Sub(at))}, cell{text: r.GetNode()},
			cell{text: xdsTypeOf(r.GetTypeUrl())}, cell{text: strings.Join(r.GetNames(), " ")}, cell{text: r.GetReason(), style: bad})
	}
	return t.print(a.stdout, p, a.columns)
}
