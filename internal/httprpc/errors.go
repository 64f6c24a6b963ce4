package httprpc

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// connectError returns the error of the protocol for an error of a method, with the details of its
// gRPC status. It returns nil for nil.
func connectError(err error) error {
	if err == nil {
		return nil
	}
	if already, ok := errors.AsType[*connect.Error](err); ok {
		return already // the message could not be sent
	}
	st := status.Convert(wire.GRPC(err))
	e := connect.NewError(connect.Code(st.Code()), errors.New(st.Message()))
	for _, any := range st.Proto().GetDetails() {
		if d, err := connect.NewErrorDetail(any); err == nil {
			e.AddDetail(d)
		}
	}
	return e
}

// refuse answers a request with an error in the protocol of the request.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	_ = connect.NewErrorWriter(options()...).Write(w, r, connectError(err))
}

// Refuse answers a request for a method with an error. It uses the protocol that the request names,
// or a JSON object with the fields code and message.
func Refuse(w http.ResponseWriter, r *http.Request, err error) { refuse(w, r, err) }
