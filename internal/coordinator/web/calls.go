package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/internal/httprpc"
)

// call returns the handler of a method.
func call(m httprpc.Method) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m.Handler.ServeHTTP(w, r.WithContext(callerContext(r)))
	}
}

// callerContext returns the context of a request. It says who the caller is in the same way as for a call
// over gRPC. Of the headers, only Authorization says something about the caller.
func callerContext(r *http.Request) context.Context {
	p := &peer.Peer{}
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		p.Addr = conn.RemoteAddr()
	}
	if r.TLS != nil {
		p.AuthInfo = credentials.TLSInfo{State: *r.TLS, CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	}
	ctx := peer.NewContext(r.Context(), p)
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		ctx = metadata.NewIncomingContext(ctx, metadata.MD{"authorization": values})
	}
	return ctx
}

// unknownMethod answers a call of a method that is not served over HTTP.
func unknownMethod(w http.ResponseWriter, _ *http.Request) {
	refuseCall(w, http.StatusNotFound, "unimplemented", "this method is not served over HTTP, which has only methods that read; use gRPC")
}

// refuseCall answers a call with an error of the protocol Connect.
func refuseCall(w http.ResponseWriter, httpStatus int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(httpStatus)
	_ = json.NewEncoder(w).Encode(struct { // an error means that the client has gone
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})
}

// counted is a connection that is counted for its peer.
type counted interface {
	net.Conn
	// Verified counts the connection for the identity in a verified certificate, and no longer for
	// the network of its peer. Only the first call has an effect.
	Verified(cert *x509.Certificate)
	// Refused returns an error that names the exceeded limit, or nil.
	Refused() error
}

// countedConn returns the counted connection below a connection with or without TLS, or nil.
func countedConn(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return conn
}
