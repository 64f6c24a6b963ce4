// Package quoted has the quotes of values in scopes and filters. A value that contains a comma, or
// begins with a double quote, stands in double quotes. Each double quote in it is written twice.
//
// # Concurrency
//
// The functions of this package have no side effects and may be called concurrently.
package quoted
