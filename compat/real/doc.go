// Package real runs the ready-made checks with real clients against real
// servers of Debian: `make compat` installs them. A server that is not there is
// named by the test that did not run.
package real
