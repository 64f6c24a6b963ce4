package coordinator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// protocols are the ways in which a client can call a coordinator over HTTP.
var protocols = map[string][]connect.ClientOption{
	"Connect, protobuf":  nil,
	"Connect, JSON":      {connect.WithProtoJSON()},
	"gRPC-Web, protobuf": {connect.WithGRPCWeb()},
	"gRPC-Web, JSON":     {connect.WithGRPCWeb(), connect.WithProtoJSON()},
}

// ask calls a unary method over HTTP.
func ask[Req, Resp any](t *testing.T, c *http.Client, base, method string, req *Req, opts ...connect.ClientOption) (*Resp, error) {
	t.Helper()
	resp, err := connect.NewClient[Req, Resp](c, base+method, opts...).CallUnary(t.Context(), connect.NewRequest(req))
	if err != nil {
		return nil, err
	}
	return resp.Msg, nil
}

// TestCallsOverHTTP: clients of other protocols than gRPC get the same answers as clients of gRPC.
func TestCallsOverHTTP(t *testing.T) {
	c := running(t, Config{Build: "v9", Static: []Target{{Service: "pay", Instance: "a", Address: "127.0.0.1:1"}}})
	conn, err := grpc.NewClient(c.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	admin, base := pb.NewAdminServiceClient(conn), "http://"+c.HTTPAddr().String()
	want, err := admin.ListOverrides(t.Context(), &pb.ListOverridesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for name, opts := range protocols {
		got, err := ask[pb.ListOverridesRequest, pb.ListOverridesResponse](t, http.DefaultClient, base, pb.AdminService_ListOverrides_FullMethodName, &pb.ListOverridesRequest{}, opts...)
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: ListOverrides answers %v, %v, want %v", name, got, err, want)
		}
		checked, err := ask[pb.CheckRequest, pb.CheckResponse](t, http.DefaultClient, base, pb.HealthService_Check_FullMethodName, &pb.CheckRequest{Service: ""}, opts...)
		if err != nil || checked.GetStatus() != pb.Status_STATUS_SERVING {
			t.Errorf("%s: Check answers %v, %v", name, checked, err)
		}
		_, err = ask[pb.CheckRequest, pb.CheckResponse](t, http.DefaultClient, base, pb.HealthService_Check_FullMethodName, &pb.CheckRequest{Service: "none"}, opts...)
		if e, ok := errors.AsType[*connect.Error](err); !ok || e.Code() != connect.CodeNotFound || len(e.Details()) == 0 {
			t.Errorf("%s: Check of an unknown name: %v", name, err)
		}
		_, err = ask[pb.RegisterRequest, pb.RegisterResponse](t, http.DefaultClient, base, pb.RegistryService_Register_FullMethodName, &pb.RegisterRequest{}, opts...)
		if connect.CodeOf(err) != connect.CodeUnimplemented {
			t.Errorf("%s: Register over HTTP: %v", name, err)
		}
		_, err = ask[pb.CheckRequest, pb.CheckResponse](t, http.DefaultClient, base, pb.HealthService_Check_FullMethodName, &pb.CheckRequest{}, append(opts, connect.WithSendGzip())...)
		if connect.CodeOf(err) != connect.CodeUnimplemented {
			t.Errorf("%s: a compressed request: %v", name, err)
		}
		watchOverHTTP(t, name, base, opts)
	}
}

// watchOverHTTP reads a snapshot of everything.
func watchOverHTTP(t *testing.T, name, base string, opts []connect.ClientOption) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := connect.NewClient[pb.WatchRequest, pb.WatchResponse](http.DefaultClient, base+pb.HealthService_Watch_FullMethodName, opts...).
		CallServerStream(ctx, connect.NewRequest(&pb.WatchRequest{}))
	if err != nil {
		t.Fatal(name, err)
	}
	defer stream.Close()
	if !stream.Receive() {
		t.Fatalf("%s: Watch ends with %v", name, stream.Err())
	}
	m, names := stream.Msg(), map[string]bool{}
	for _, e := range m.GetEntries() {
		names[e.GetService()+"/"+e.GetInstance()] = true
	}
	if !m.GetSnapshot() || !m.GetSnapshotEnd() || m.GetBuild() != "v9" || !names["*/"] || !names["pay/a"] || m.GetResumeToken() == "" {
		t.Errorf("%s: Watch sends %v", name, m)
	}
}

// TestHTTPWithTLS: with certificates, the page is there for every browser. Who shows a certificate that
// is verified has the rights that it has over gRPC, and others have none. HTTP/2 is used, although the
// configuration does not name it.
func TestHTTPWithTLS(t *testing.T) {
	ca := nettest.NewAuthority(t)
	own := ca.Sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	ann := ca.Sign(&x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "mesh.test", Path: "/operator/ann"}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	cfg := &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: ca.Pool(), ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS13}
	policy := &AccessPolicy{Rules: []access.Rule{
		{Name: "operators", Who: []string{"spiffe://mesh.test/operator/*"}, Read: &access.Read{Services: []string{"*"}, Detail: access.Evidence}},
		{Name: "public", Who: []string{"anyone"}, Read: &access.Read{Services: []string{"*"}}},
	}}
	c := running(t, Config{Credentials: credentials.NewTLS(cfg), HTTPTLS: cfg, Access: policy})
	base := "https://" + c.HTTPAddr().String()
	for _, certs := range [][]tls.Certificate{nil, {ann}} {
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), Certificates: certs}}}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/ui/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Errorf("the page answers %s over %s", resp.Status, resp.Proto)
		}
		_, err = ask[pb.GetCoordinatorRequest, pb.GetCoordinatorResponse](t, client, base, pb.AdminService_GetCoordinator_FullMethodName, &pb.GetCoordinatorRequest{}, connect.WithProtoJSON())
		if certs == nil && connect.CodeOf(err) != connect.CodePermissionDenied || certs != nil && err != nil {
			t.Errorf("%d certificates: GetCoordinator answers %v", len(certs), err)
		}
		stream, err := connect.NewClient[pb.WatchRequest, pb.WatchResponse](client, base+pb.HealthService_Watch_FullMethodName, connect.WithProtoJSON()).
			CallServerStream(t.Context(), connect.NewRequest(&pb.WatchRequest{}))
		if err != nil || !stream.Receive() {
			t.Errorf("%d certificates: Watch answers %v", len(certs), err)
			continue
		}
		_ = stream.Close()
	}
}

// TestHTTPSettings: wrong settings of the HTTP port are refused.
func TestHTTPSettings(t *testing.T) {
	for want, cfg := range map[string]Config{
		"HTTPHosts: ": {HTTPHosts: []string{"*.example"}}, "WebPrefix: ": {WebPrefix: "mesh/"}, "Web: ": {Web: "on"},
	} {
		cfg.Listen, cfg.HTTP = "127.0.0.1:0", "127.0.0.1:0"
		if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", cfg, err, want)
		}
	}
}
