package wire

import "time"

// Limits of what comes from outside. Bytes, unless they say otherwise.
const (
	MaxName          = 255  // a service, an instance, a health name
	MaxFullName      = 511  // service/instance
	MaxNames         = 128  // names in one Watch
	MaxAddress       = 261  // host:port
	MaxIncarnation   = 64   //
	MaxLabels        = 64   // labels of one instance, labels in a selector
	MaxLabelKey      = 63   //
	MaxLabelValue    = 255  //
	MaxZone          = 63   //
	MaxVersion       = 128  //
	MaxServerName    = 253  //
	MaxLeaseID       = 32   //
	MaxText          = 1024 // reasons
	MaxAuthor        = 128  //
	MaxRule          = 32   // the name of a rule, where it is told
	MaxOverrides     = 1000 // statuses forced at once
	MaxScope         = 1024 // a selector of whom an override is for
	MaxChecks        = 128  // local checks of one instance
	MaxGauges        = 32   // named gauges of one instance
	MaxUnit          = 32   //
	MaxToken         = 128  // resume and page tokens
	MaxPage          = 1000 // entries of a page
	DefaultPage      = 100  //
	MaxRegistrations = 500  // in one Register

	MinTTL     = 3 * time.Second
	MaxTTL     = 10 * time.Minute
	DefaultTTL = 30 * time.Second

	MinHeartbeat     = time.Second
	MaxHeartbeat     = time.Minute
	DefaultHeartbeat = 10 * time.Second

	MinOverrideTTL = time.Second
	MaxOverrideTTL = 366 * 24 * time.Hour
)

// Limits of one gRPC connection, and how long things may take.
const (
	// MaxStreams is how many RPCs one connection may have open. grpc-go's own
	// default has no limit: 100,000 Watches on one connection cost 1 GiB.
	MaxStreams = 128
	// MaxHeaderList bounds the header of one RPC.
	MaxHeaderList = 16 << 10
	// MaxRequest bounds a request: 500 registrations fit with 8 KiB each.
	MaxRequest = 4 << 20
	// MaxHealthReply bounds what is read of an instance, whose replies are
	// small.
	MaxHealthReply = 256 << 10
	// MaxWatchMessage bounds what a Watch client reads; snapshots are cut into
	// chunks of ChunkBytes.
	MaxWatchMessage = 4 << 20
	// ChunkBytes is about how large one message of a snapshot gets.
	ChunkBytes = 128 << 10
	// HandshakeTimeout is how long a new connection may take to become one.
	HandshakeTimeout = 10 * time.Second
	// StreamWindow and ConnWindow are static: measuring the bandwidth by pings
	// doubles the CPU of an idle mesh.
	StreamWindow = 256 << 10
	ConnWindow   = 1 << 20
	// MinPing is the least time between HTTP/2 pings: servers with default
	// settings answer more frequent ones with GOAWAY.
	MinPing = 5 * time.Minute
)
