// Package real runs the ready-made checks with real clients against real servers.
// `make compat` installs these servers from Debian. If a server is not installed,
// its test is skipped and names the server.
package real
