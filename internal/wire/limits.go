package wire

import "time"

// Limits of input, in bytes unless the comment says otherwise.
const (
	MaxName          = 255       // name of a service or an instance, or a health name
	MaxFullName      = 511       // the name service/instance of an instance
	MaxNames         = 128       // number of names in one Watch
	MaxAddress       = 261       // address as host:port
	MaxIncarnation   = 64        //
	MaxLabels        = 64        // number of labels of one instance, or in a selector
	MaxLabelKey      = 63        //
	MaxLabelValue    = 255       //
	MaxZone          = 63        //
	MaxVersion       = 128       //
	MaxServerName    = 253       //
	MaxLeaseID       = 32        //
	MaxText          = 1024      // a reason
	MaxAuthor        = 128       //
	MaxRule          = 32        // the name of a rule in an answer
	MaxOverrides     = 1000      // number of overrides that are set at one time
	MaxScope         = 1024      // text of a scope
	MaxChecks        = 128       // number of local checks of one instance
	MaxGauges        = 32        // number of named gauges of one instance
	MaxUnit          = 32        //
	MaxToken         = 128       // a resume token or a page token
	MaxPage          = 1000      // number of entries of a page
	MaxPageBytes     = 128 << 10 // a page; a page of one entry may be larger
	DefaultPage      = 100       //
	MaxRegistrations = 500       // number of registrations in one Register

	MinTTL     = 3 * time.Second
	MaxTTL     = 10 * time.Minute
	DefaultTTL = 30 * time.Second

	MinHeartbeat     = time.Second
	MaxHeartbeat     = time.Minute
	DefaultHeartbeat = 10 * time.Second

	TargetRate  = 20  // messages of one instance per second
	TargetBurst = 100 // messages of one instance in a burst

	MinOverrideTTL = time.Second
	MaxOverrideTTL = 366 * 24 * time.Hour
)

// Limits of one gRPC connection, and time limits.
const (
	// MaxStreams is the largest number of open RPCs on one connection. By default grpc-go has no
	// limit, and 100,000 Watches on one connection need 1 GiB of memory.
	MaxStreams = 128
	// MaxHeaderList bounds the header of one RPC.
	MaxHeaderList = 16 << 10
	// MaxRequest bounds a Register: 500 registrations fit with 8 KiB each.
	MaxRequest = 4 << 20
	// MaxReport bounds one message of a Report.
	MaxReport = 2 << 20
	// MaxAsk bounds every request except Register and Report. A Watch of 128 names fits.
	MaxAsk = 128 << 10
	// RequestTimeout is how long a client may take to send a complete request.
	RequestTimeout = 10 * time.Second
	// SendTimeout is how long flow control of the peer may block one message.
	SendTimeout = 30 * time.Second
	// A server pings a client that has sent nothing for PingAfter. The client must answer
	// within PingTimeout.
	PingAfter   = 2 * time.Minute
	PingTimeout = 20 * time.Second
	// MaxHealthReply bounds a reply of an instance, which is normally much smaller.
	MaxHealthReply = 256 << 10
	// MaxWatchMessage bounds one message that a Watch client reads. Snapshots come in
	// chunks of ChunkBytes.
	MaxWatchMessage = 4 << 20
	// ChunkBytes is the approximate size of one message of a snapshot. With its headers
	// it fits into a buffer of 16 KiB. For a peer that does not read, gRPC keeps 64 KiB
	// and one more buffer.
	ChunkBytes = 15 << 10
	// HandshakeTimeout is how long the handshake of a new connection may take.
	HandshakeTimeout = 10 * time.Second
	// StreamWindow and ConnWindow are the fixed sizes of the flow control windows. Dynamic
	// windows of grpc-go measure the bandwidth by pings, which doubles the CPU use of an idle
	// mesh.
	StreamWindow = 256 << 10
	ConnWindow   = 1 << 20
	// ReadBuffer is the size of the read buffer of a connection. grpc-go keeps this buffer as
	// long as the connection, because it shares buffers only of plain TCP connections. Its
	// default of 32 KiB would be half of the memory of a polled target.
	ReadBuffer = 2 << 10
	// MinPing is the least time between HTTP/2 pings. Servers with default settings answer
	// more frequent pings with GOAWAY.
	MinPing = 5 * time.Minute
)
