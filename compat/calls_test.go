package compat

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// service implements the test service of gRPC. Each request says how the service must answer.
type service struct {
	pb.UnimplementedTestServiceServer
}

// A request has the code of the wanted answer in its ResponseStatus. These codes stand for
// errors without a gRPC status.
const (
	plainError = 100 + iota
	contextCanceled
	contextExpired
)

func asked(by *pb.EchoStatus) error {
	switch code := by.GetCode(); code {
	case plainError:
		return errors.New("plain")
	case contextCanceled:
		return context.Canceled
	case contextExpired:
		return context.DeadlineExceeded
	default:
		return status.Error(codes.Code(code), "asked for")
	}
}

func (service) UnaryCall(_ context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if err := asked(in.ResponseStatus); err != nil {
		return nil, err
	}
	return &pb.SimpleResponse{}, nil
}

// StreamingOutputCall sends one message for each element of ResponseParameters in the request.
func (service) StreamingOutputCall(in *pb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[pb.StreamingOutputCallResponse]) error {
	for range in.ResponseParameters {
		if err := out.Send(&pb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
	return asked(in.ResponseStatus)
}

func (service) StreamingInputCall(in grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse]) error {
	for {
		message, err := in.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return in.SendAndClose(&pb.StreamingInputCallResponse{})
		case err != nil:
			return err
		case message.ExpectCompressed.GetValue(): // in these tests, the field asks for an error
			return status.Error(codes.ResourceExhausted, "asked for")
		}
	}
}

// FullDuplexCall answers each message with one message.
func (service) FullDuplexCall(both grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse]) error {
	for {
		in, err := both.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = asked(in.ResponseStatus)
		}
		if err == nil {
			err = both.Send(&pb.StreamingOutputCallResponse{})
		}
		if err != nil {
			return err
		}
	}
}

// call makes one call of the test service, from its start to its end.
type call func(t *testing.T, client pb.TestServiceClient)

func unary(code int32) call {
	return func(t *testing.T, client pb.TestServiceClient) {
		_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: code}})
		ended(t, err, code)
	}
}

func serverStream(messages int, code int32) call {
	return func(t *testing.T, client pb.TestServiceClient) {
		stream, err := client.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{
			ResponseParameters: make([]*pb.ResponseParameters, messages),
			ResponseStatus:     &pb.EchoStatus{Code: code},
		})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		ended(t, err, code)
	}
}

func clientStream(messages int) call {
	return func(t *testing.T, client pb.TestServiceClient) {
		stream, err := client.StreamingInputCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range messages {
			if err := stream.Send(&pb.StreamingInputCallRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		_, err = stream.CloseAndRecv()
		ended(t, err, 0)
	}
}

func clientStreamRefused(t *testing.T, client pb.TestServiceClient) {
	stream, err := client.StreamingInputCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pb.StreamingInputCallRequest{ExpectCompressed: &pb.BoolValue{Value: true}}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.CloseAndRecv()
	ended(t, err, int32(codes.ResourceExhausted))
}

func bidiStream(messages int, code int32) call {
	return func(t *testing.T, client pb.TestServiceClient) {
		stream, err := client.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range messages {
			if err := stream.Send(&pb.StreamingOutputCallRequest{}); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		if code != 0 {
			err = stream.Send(&pb.StreamingOutputCallRequest{ResponseStatus: &pb.EchoStatus{Code: code}})
		} else {
			err = stream.CloseSend()
		}
		for err == nil {
			_, err = stream.Recv()
		}
		ended(t, err, code)
	}
}

// ended checks that a call ended with the error that its request asked for.
func ended(t *testing.T, err error, asked int32) {
	t.Helper()
	want := codes.Code(asked)
	switch asked {
	case plainError:
		want = codes.Unknown
	case contextCanceled:
		want = codes.Canceled
	case contextExpired:
		want = codes.DeadlineExceeded
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if got := status.Code(err); got != want {
		t.Errorf("the call ended with %v, want %v", err, want)
	}
}
