// Package httprpc serves methods of gRPC services over HTTP, with the protocols Connect and
// gRPC-Web. Browsers can use these protocols. The methods are the same functions that gRPC calls.
//
// A [Method] is made from such a function by [Unary] or [ServerStream]. Its handler reads the whole
// request, up to wire.MaxAsk bytes, and calls the function inside the gRPC interceptors of the
// server. gRPC statuses become errors of the protocol, with their details. Messages are protobuf or
// proto JSON. Compressed requests are refused, and answers are not compressed.
//
// A message of a stream can be encoded already: the format JSON accepts a value with the method
// AppendJSON([]byte) []byte.
//
// # Concurrency
//
// Handlers are safe for concurrent use. Each call runs in the goroutine of net/http.
package httprpc
