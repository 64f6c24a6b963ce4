package web

import (
	"net/http/httptest"
	"slices"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// TestHeadersSayNothing: of the headers of a request, only Authorization reaches the access policy.
func TestHeadersSayNothing(t *testing.T) {
	r := httptest.NewRequest("POST", "http://localhost/x", nil)
	r.RemoteAddr = "127.0.0.1:1"
	for _, name := range []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Client-Cert",
		"X-Real-Ip", "Forwarded", "Via", "True-Client-Ip", "X-Client-Ip", "X-Remote-User", "X-Auth-Request-User", "X-User-Id",
		"X-Ssl-Client-Cert", "X-Amzn-Oidc-Identity", "Proxy-Authorization", "Cookie", "From", "X-Api-Key", "User-Agent",
		"Grpc-Metadata-Authorization",
	} {
		r.Header.Set(name, "unix:uid=0")
	}
	ctx := callerContext(r)
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		t.Errorf("the metadata are %v, want none", md)
	}
	if p, ok := peer.FromContext(ctx); !ok || p.Addr != nil || p.AuthInfo != nil {
		t.Errorf("the peer is %v, want one without an address, because the request came over no connection", p)
	}
	r.Header.Add("Authorization", "Bearer a")
	r.Header.Add("Authorization", "Bearer b")
	md, _ := metadata.FromIncomingContext(callerContext(r))
	if got := md.Get("authorization"); !slices.Equal(got, []string{"Bearer a", "Bearer b"}) || len(md) != 1 {
		t.Errorf("the metadata are %v, want both values of authorization, so that two are refused", md)
	}
}
