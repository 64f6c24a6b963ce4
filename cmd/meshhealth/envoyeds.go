package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/meshhealth/meshhealth/internal/envoyconfig"
)

const (
	endpointsType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	// plainFeature is what a client says that sends degraded endpoints no traffic.
	plainFeature = "envoy.lb.does_not_support_overprovisioning"
	// maxEDS is the largest size of an answer in bytes. 50,000 endpoints need less.
	maxEDS = 64 << 20
)

var edsFormats = []string{"yaml", "json"}

func envoyEDSCommand(a *app) *cobra.Command {
	var (
		t      target
		format string
		plain  bool
	)
	cmd := &cobra.Command{
		Use:   "eds SERVICE",
		Short: "Print the endpoints of a service as an Envoy receives them",
		Long: `Print the endpoints of a service (ClusterLoadAssignment) as an Envoy receives them
from the coordinator over ADS, or with --plain as a gRPC client does. This needs the
right to see addresses.`,
		Example: `  meshhealth envoy eds payments
  meshhealth envoy eds payments --plain -o json`,
		Args: exactlyOne("SERVICE"),
		RunE: func(cmd *cobra.Command, names []string) error {
			err := checkServiceArg(cmd, names[0])
			if wrong := oneOf(edsFormats)(format); wrong != nil {
				err = errors.Join(err, usage(cmd, "--output: %w", wrong))
			}
			if err := errors.Join(err, t.complete(cmd, a.getenv)); err != nil {
				return err
			}
			return envoyEDS(a, cmd.Context(), &t, names[0], plain, format)
		},
	}
	t.addTo(cmd)
	cmd.Flags().BoolVar(&plain, "plain", false, "as a gRPC client receives them")
	cmd.Flags().StringVarP(&format, "output", "o", "yaml", "`FORMAT`: yaml, or json (on one line)")
	return cmd
}

func envoyEDS(a *app, ctx context.Context, t *target, service string, plain bool, format string) error {
	var endpoints *endpointpb.ClusterLoadAssignment
	err := t.ask(ctx, func(ctx context.Context, conn *connection) (err error) {
		endpoints, err = conn.endpoints(ctx, service, plain)
		return err
	})
	if err != nil {
		return err
	}
	if format == "json" {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(endpoints)
		if err != nil {
			return err
		}
		return printLine(a.stdout, text)
	}
	text, err := envoyconfig.YAML(endpoints)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.stdout, text)
	return err
}

// endpoints subscribes to the endpoints of a service, and returns the first ones that it receives.
func (conn *connection) endpoints(ctx context.Context, service string, plain bool) (*endpointpb.ClusterLoadAssignment, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.ads.DeltaAggregatedResources(ctx, grpc.MaxCallRecvMsgSize(maxEDS))
	if err != nil {
		return nil, conn.callError(err)
	}
	node := &corepb.Node{Id: "meshhealth envoy eds", Cluster: "meshhealth", UserAgentName: "meshhealth"}
	if plain {
		node.ClientFeatures = []string{plainFeature}
	}
	// Recv returns the error of a stream that has ended.
	_ = stream.Send(&discoverypb.DeltaDiscoveryRequest{Node: node, TypeUrl: endpointsType, ResourceNamesSubscribe: []string{service}})
	for {
		resp, err := stream.Recv()
		switch {
		case status.Code(err) == codes.DeadlineExceeded:
			return nil, hinted("A coordinator that has just started waits until it knows the health of the service. --timeout allows more time.",
				"no endpoints of %s from %s within %v", service, conn.address, conn.timeout)
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%s ended the stream without endpoints", conn.address)
		case err != nil:
			return nil, conn.callError(err)
		case slices.Contains(resp.GetRemovedResources(), service):
			return nil, conn.unknownName(ctx, service)
		}
		for _, r := range resp.GetResources() {
			endpoints := &endpointpb.ClusterLoadAssignment{}
			if r.GetName() != service {
				continue
			}
			if err := r.GetResource().UnmarshalTo(endpoints); err != nil {
				return nil, fmt.Errorf("%s sent what is no ClusterLoadAssignment: %w", conn.address, err)
			}
			return endpoints, nil
		}
	}
}
