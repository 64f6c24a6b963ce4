// Package selector parses the filters that people type, and matches entries with them. The
// command line and the page use the same grammar. The file web/testdata/selectors.json has cases
// for both.
//
// A filter is a list of conditions with commas between them. All conditions must match:
//
//	service=S          the service
//	zone=Z             the zone
//	label.KEY=VALUE    a label of an instance
//	version=V          the version of an instance
//	status=A|B         one of these statuses
//	cause=C            the cause
//	root=S             the service that causes the failure
//	unconfirmed        the status is unconfirmed
//	WORD               the name contains this word
//
// A `!` before a condition negates it. The first three conditions mean the same as in the scope
// of an override. A value that contains a comma stands in double quotes, and each double quote in
// it is written twice. Spaces around a condition have no effect.
//
// # Concurrency
//
// A Selector does not change after Parse, and may be used concurrently.
package selector
