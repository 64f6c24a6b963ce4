package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// maxNode is the largest size of the argument NODE, in bytes.
	maxNode = 1024
	// maxCandidates is the largest number of clients that a hint lists.
	maxCandidates = 10
	// exitDiffers is the exit code of `xds diff` if the client does not have all current versions.
	exitDiffers = 1
)

func xdsDiffCommand(a *app) *cobra.Command {
	var (
		t   target
		out output
		all bool
	)
	cmd := &cobra.Command{
		Use:   "diff NODE",
		Short: "Print what an xDS client does not have yet",
		Long: `Print the resources of an xDS client whose current version it has not acknowledged,
with the version that was sent, the version that it uses, and why it rejects the
former. NODE is the name of its node, or the number of its stream, as in
` + "`meshhealth xds status`" + `.

The exit code is 0 if the client has the current version of all its resources, and 1
if not. It is 3 if NODE names no client, or several.`,
		Example: `  meshhealth xds diff edge-1
  meshhealth xds diff edge-1 --all`,
		Args: exactlyOne("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var errs fields.Errors
			errs.Add("NODE", wire.CheckText(args[0], 1, maxNode))
			if err := errors.Join(out.check(cmd), usageAll(cmd, errs.Join())); err != nil {
				return err
			}
			return a.ask(cmd, &t, func(ctx context.Context, conn *connection) error {
				return xdsDiff(a, ctx, conn, &out, args[0], all)
			})
		},
	}
	t.addTo(cmd)
	out.addTo(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also list the resources that it has")
	return cmd
}

func xdsDiff(a *app, ctx context.Context, conn *connection, out *output, node string, all bool) error {
	resources, err := conn.xdsResources(ctx, node, !all)
	if err != nil {
		return err
	}
	differs := slices.ContainsFunc(resources, isBehind)
	switch {
	case out.json():
		for _, r := range resources {
			if err := printJSON(a.stdout, r); err != nil {
				return err
			}
		}
	case len(resources) == 0 && all:
		a.say("%s subscribes to nothing.", node)
	case len(resources) == 0:
		a.say("%s has the current version of all its resources.", node)
	default:
		if err := printXDSResources(a, out, resources); err != nil {
			return err
		}
	}
	if differs {
		return exitCode(exitDiffers)
	}
	return nil
}

// isBehind reports whether the client does not use the current version of a resource.
func isBehind(r *pb.XDSResource) bool {
	return r.GetCurrent() != r.GetAcknowledged() || r.GetRejected() != ""
}

// xdsResources returns the resources of one client.
func (conn *connection) xdsResources(ctx context.Context, node string, behindOnly bool) ([]*pb.XDSResource, error) {
	var all []*pb.XDSResource
	req := &pb.ListXDSResourcesRequest{Node: node, BehindOnly: behindOnly, PageSize: wire.MaxPage}
	for {
		page, err := conn.admin.ListXDSResources(ctx, req)
		switch code := status.Code(err); {
		case code == codes.NotFound, code == codes.FailedPrecondition:
			return nil, conn.unknownNode(ctx, node, err)
		case err != nil:
			return nil, conn.callError(err)
		}
		all = append(all, page.GetResources()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

// unknownNode returns an error about a node that does not name exactly one client. Its hint lists
// clients that could be meant. err is what the coordinator says.
func (conn *connection) unknownNode(ctx context.Context, node string, err error) error {
	var nodes, streams []string
	for c, err := range conn.xdsClients(ctx) {
		if err != nil {
			break // the clients are used only in a hint
		}
		nodes = append(nodes, wire.Clean(c.GetNode()))
		if c.GetNode() == node {
			streams = append(streams, fmt.Sprintf("%d (%s at %s)", c.GetStream(), wire.Clean(c.GetUserAgent()), wire.Clean(c.GetPeer())))
		}
	}
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	switch near := input.Near(node, nodes); {
	case len(streams) > 1:
		hint := "Give the number of one: " + alternatives(firstOf(streams)) + "."
		return hinted(hint, "NODE: %s is the node of %s; allowed: one", node, plural(len(streams), "stream"))
	case len(near) > 0:
		return hinted("Did you mean "+alternatives(near)+"?", "no xDS client with the node %s is connected", node)
	case len(nodes) > 0:
		return hinted("Connected are "+strings.Join(firstOf(nodes), ", ")+".", "no xDS client with the node %s is connected", node)
	}
	return hinted("`meshhealth xds status` lists the clients.", "%s", wire.Clean(status.Convert(err).Message()))
}

// firstOf shortens a list to what a hint shows.
func firstOf(list []string) []string {
	if len(list) > maxCandidates {
		return append(slices.Clone(list[:maxCandidates]), fmt.Sprintf("%d more", len(list)-maxCandidates))
	}
	return list
}

func printXDSResources(a *app, out *output, resources []*pb.XDSResource) error {
	p := a.pen(out.colour)
	t := table{head: []string{"TYPE", "NAME", "CURRENT", "SENT", "ACKNOWLEDGED", "WHY"}}
	for _, r := range resources {
		acknowledged, why := cell{text: orDash(r.GetAcknowledged())}, cell{}
		switch {
		case r.GetRejected() != "":
			why = cell{"rejected: " + r.GetRejected(), bad}
		case r.GetCurrent() == "":
			why = cell{"does not exist", warning}
		case r.GetSent() != r.GetCurrent():
			why = cell{"is not sent yet", warning}
		case isBehind(r):
			why = cell{"is not acknowledged yet", warning}
		}
		if isBehind(r) {
			acknowledged.style = warning
		}
		t.add(cell{text: xdsTypeOf(r.GetTypeUrl())}, cell{text: r.GetName()}, cell{text: orDash(r.GetCurrent())},
			cell{text: orDash(r.GetSent())}, acknowledged, why)
	}
	return t.print(a.stdout, p, a.columns)
}
