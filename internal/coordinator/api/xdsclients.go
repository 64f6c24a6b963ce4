package api

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxClientName is the largest number of bytes of the name of an xDS client in a request.
const maxClientName = 1024

// tokenSeparator separates the type and the name in a page token. Neither has control characters.
const tokenSeparator = "\x00"

// ListXDSClients returns a page of the connected xDS clients, the earliest first.
func (a adminService) ListXDSClients(ctx context.Context, req *pb.ListXDSClientsRequest) (*pb.ListXDSClientsResponse, error) {
	var v wire.Violations
	limit := wire.PageSize(&v, req.GetPageSize())
	var after uint64
	if req.GetPageToken() != "" {
		var err error
		after, err = parsePageToken(req.GetPageToken())
		v.Check("page_token", err)
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := a.checkXDS(ctx); err != nil {
		return nil, err
	}
	resp := &pb.ListXDSClientsResponse{Clients: a.cfg.XDS.Clients(after, limit+1)}
	if len(resp.Clients) > limit {
		resp.Clients = resp.Clients[:limit]
		resp.NextPageToken = pageToken(resp.Clients[limit-1].GetStream())
	}
	return resp, nil
}

// tokenPrefix begins every page token of ListXDSClients. It contains the version of the token's format.
const tokenPrefix = "t1:"

func pageToken(before uint64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(tokenPrefix + strconv.FormatUint(before, 10)))
}

func parsePageToken(token string) (uint64, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	n, ours := strings.CutPrefix(string(b), tokenPrefix)
	if err == nil && ours && len(token) <= wire.MaxToken {
		if before, err := strconv.ParseUint(n, 10, 64); err == nil && before > 0 {
			return before, nil
		}
	}
	return 0, errors.New("is not one that was handed out; allowed: the next_page_token of the page before")
}

// ListXDSResources returns a page of the resources to which an xDS client subscribes.
func (a adminService) ListXDSResources(ctx context.Context, req *pb.ListXDSResourcesRequest) (*pb.ListXDSResourcesResponse, error) {
	var v wire.Violations
	v.MaxLen("node", req.GetNode(), maxClientName)
	limit := wire.PageSize(&v, req.GetPageSize())
	scope := wire.PageScope(&pb.ListXDSResourcesRequest{Node: req.GetNode(), BehindOnly: req.GetBehindOnly()})
	afterType, afterName, _ := strings.Cut(wire.ParseTextToken(&v, req.GetPageToken(), scope), tokenSeparator)
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := a.checkXDS(ctx); err != nil {
		return nil, err
	}
	all, err := a.cfg.XDS.Resources(req.GetNode(), req.GetBehindOnly(), afterType, afterName, limit+1)
	if err != nil {
		return nil, wire.GRPC(err)
	}
	resp := &pb.ListXDSResourcesResponse{Resources: all}
	if len(all) > limit {
		resp.Resources = all[:limit]
		last := all[limit-1]
		resp.NextPageToken = wire.TextToken(last.GetTypeUrl()+tokenSeparator+last.GetName(), scope)
	}
	return resp, nil
}

// checkXDS refuses callers that may not inspect the coordinator.
func (a adminService) checkXDS(ctx context.Context) error {
	if err := a.cfg.checkEvidence(ctx, access.Everything); err != nil {
		return err
	}
	if a.cfg.XDS == nil {
		return wire.GRPC(domain.ErrLater)
	}
	return nil
}
