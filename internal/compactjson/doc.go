// Package compactjson encodes protobuf messages in proto JSON without spaces. The bytes equal those
// of protojson after json.Compact. For the messages of this project, it needs about a fifth of the
// time.
//
// # Concurrency
//
// Append may be called concurrently. Nobody may change a message while it is encoded.
package compactjson
