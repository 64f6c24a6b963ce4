// Package audit keeps the audit log of a coordinator: who was allowed to change what, and whose
// requests were refused.
//
// The log is a folder. Each line of its files is a JSON object. It has the SHA-256 of the line
// before it, so that the lines are a chain. It ends with a CRC-32C of itself, so that damage of the
// last line is found too. The hashes have no key: a person who may write the files can also write a
// whole new chain. Only a hash that was noted elsewhere shows that.
//
// There are two chains. The chain "writes" has the accepted writes, and the chain "refused" the
// refusals. Each has files and a bound of its own, so that refused requests can neither fill the
// disk nor displace accepted writes. A file of a chain is a segment. At the bound the oldest segment
// is removed, and a line of the chain says so.
//
// [Log.Append] returns when its line is durable. All callers that wait share one sync. After a
// failed write or sync nobody knows what the file has behind its last acknowledged line. So the log
// cuts the file there before it writes again.
//
// A kill leaves at most an unfinished line at the end. It was never acknowledged, and [Open] removes
// it. Open checks the newest segment of each chain, and [Verify] checks all. A damaged segment is
// left as it is. The log continues in a new segment, and [Stats] says so.
//
// # Concurrency
//
// All methods of Log may be called at the same time. Only [Log.Run] reads and writes files. It has
// no goroutine of its own: its caller starts it and waits for its end.
package audit
