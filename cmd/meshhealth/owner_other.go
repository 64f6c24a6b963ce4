//go:build !unix

package main

import "io/fs"

// ownedByUs returns true: on this system a file has no owner that could be compared.
func ownedByUs(fs.FileInfo) bool { return true }
