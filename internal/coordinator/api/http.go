package api

import (
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/httprpc"
)

// HTTP returns the methods that are also served over HTTP. They only read: a page in a browser of a
// user who was led to it must not be able to change anything. The methods are the same as over gRPC,
// with the same interceptors, limits of Watch and access policy.
func (s *Server) HTTP() []httprpc.Method {
	cfg := &httprpc.Config{Unary: s.unary(), Stream: s.stream()}
	health, admin := s.health.Service(feed.Protobuf), s.admin()
	return []httprpc.Method{
		httprpc.Unary(cfg, pb.HealthService_Check_FullMethodName, health.Check),
		httprpc.Unary(cfg, pb.HealthService_List_FullMethodName, health.List),
		httprpc.ServerStream(cfg, pb.HealthService_Watch_FullMethodName, health.Watch, s.health.Service(feed.JSON).Watch),
		httprpc.Unary(cfg, pb.AdminService_Explain_FullMethodName, admin.Explain),
		httprpc.Unary(cfg, pb.AdminService_ListTransitions_FullMethodName, admin.ListTransitions),
		httprpc.Unary(cfg, pb.AdminService_ListOverrides_FullMethodName, admin.ListOverrides),
		httprpc.Unary(cfg, pb.AdminService_GetCoordinator_FullMethodName, admin.GetCoordinator),
		httprpc.Unary(cfg, pb.AdminService_ListRoutes_FullMethodName, admin.ListRoutes),
	}
}
