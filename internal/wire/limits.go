package wire

import "time"

// Limits of input, with the unit of each limit.
const (
	MaxName          = 255       // bytes of a service name, instance name or health name
	MaxFullName      = 511       // bytes of the name service/instance
	MaxNames         = 128       // names in one Watch request
	MaxAddress       = 261       // bytes of an address as host:port
	MaxIncarnation   = 64        // bytes of the random value that identifies a process
	MaxLabels        = 64        // labels of one instance, or in one selector
	MaxLabelKey      = 63        // bytes of the key of a label
	MaxLabelValue    = 255       // bytes of the value of a label
	MaxZone          = 63        // bytes of the name of a zone
	MaxSource        = 63        // bytes of the name of the program that maintains a registration
	MaxVersion       = 128       // bytes of the version of an instance
	MaxServerName    = 253       // bytes of the name in the certificate of an instance
	MaxLeaseID       = 32        // bytes of the ID of a lease, a number written as text
	MaxText          = 1024      // bytes of a reason, or of another text without a limit of its own
	MaxAuthor        = 128       // bytes of the author of an override
	MaxRule          = 32        // bytes of an unknown name, such as the name of a rule, in an error text
	MaxOverrides     = 1000      // overrides that exist at the same time
	MaxScope         = 1024      // bytes of the text of an override's scope
	MaxChecks        = 128       // checks in the report of one instance
	MaxGauges        = 32        // named gauges in the report of one instance
	MaxUnit          = 32        // bytes of the unit of a measured value
	MaxToken         = 128       // bytes of a resume token or page token
	MaxPage          = 1000      // entries of one page
	MaxPageBytes     = 128 << 10 // bytes of one page; a page with only one entry may be larger
	DefaultPage      = 100       // entries of one page if the request names no number
	MaxRegistrations = 500       // registrations in one Register request

	MinTTL     = 3 * time.Second
	MaxTTL     = 10 * time.Minute
	DefaultTTL = 30 * time.Second

	MinHeartbeat     = time.Second
	MaxHeartbeat     = time.Minute
	DefaultHeartbeat = 10 * time.Second

	TargetRate  = 20  // messages per second that one instance may send
	TargetBurst = 100 // messages that one instance may send at once, before TargetRate limits it

	MinOverrideTTL = time.Second
	MaxOverrideTTL = 366 * 24 * time.Hour
)

// Limits of one gRPC connection, and time limits.
const (
	// MaxStreams is the largest number of open RPCs on one connection. By default grpc-go has no
	// limit, and 100,000 Watches on one connection need 1 GiB of memory.
	MaxStreams = 128
	// MaxHeaderList is the largest size in bytes of all headers of one RPC.
	MaxHeaderList = 16 << 10
	// MaxRequest is the largest size of a Register request in bytes. It has room for 500
	// registrations of 8 KiB.
	MaxRequest = 4 << 20
	// MaxReport is the largest size in bytes of one message that a client sends on a Report
	// stream.
	MaxReport = 2 << 20
	// MaxAsk is the largest size in bytes of every request except Register and Report. It has
	// room for a Watch of 128 names.
	MaxAsk = 128 << 10
	// RequestTimeout is the longest time that a client may take to send a complete request.
	RequestTimeout = 10 * time.Second
	// SendTimeout is the longest time for which the flow control of a client may block one
	// message of the server.
	SendTimeout = 30 * time.Second
	// A server pings a client that has sent nothing for PingAfter. The client must answer
	// within PingTimeout.
	PingAfter   = 2 * time.Minute
	PingTimeout = 20 * time.Second
	// MaxHealthReply is the largest size in bytes of a reply that the coordinator accepts from
	// an instance.
	MaxHealthReply = 256 << 10
	// MaxWatchMessage is the largest size in bytes of a message that a client of Watch accepts.
	MaxWatchMessage = 4 << 20
	// ChunkBytes is the approximate size in bytes of one message of a Watch. A message with its
	// headers fits into a buffer of 16 KiB. For a client that does not read, gRPC keeps 64 KiB
	// of messages in memory, and one more buffer.
	ChunkBytes = 15 << 10
	// HandshakeTimeout is the longest time for the handshake of a new connection.
	HandshakeTimeout = 10 * time.Second
	// StreamWindow and ConnWindow are the fixed sizes in bytes of the flow-control windows of
	// a stream and of a connection. By default, grpc-go measures the bandwidth with pings to
	// choose the sizes, which doubles the CPU use of an idle mesh.
	StreamWindow = 256 << 10
	ConnWindow   = 1 << 20
	// StreamWorkers is the number of goroutines that a gRPC server keeps for its handlers. A
	// call that uses one of these goroutines needs no growth of a new stack. A call that finds
	// no free goroutine gets a new one, so that long streams delay no other call.
	StreamWorkers = 64
	// ReadBuffer is the size in bytes of the read buffer of a connection. grpc-go keeps this
	// buffer as long as the connection, because it shares buffers only of plain TCP
	// connections. The default of grpc-go, 32 KiB, would be half of the memory for an instance
	// that the coordinator polls.
	ReadBuffer = 2 << 10
	// MinPing is the shortest time between two HTTP/2 pings of a client of this project. Servers
	// with the default settings of grpc-go answer more frequent pings with GOAWAY.
	MinPing = 5 * time.Minute
)
