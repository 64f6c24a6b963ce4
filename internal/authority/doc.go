// Package authority makes a private certificate authority in a folder, and certificates that it
// signs. They are for a first set-up of TLS on both sides, and for small meshes.
//
// A folder has the certificate of the authority in ca.pem and its key in ca-key.pem. Each certificate
// is in NAME.pem, and its key in NAME-key.pem. All files are in PEM format, and all keys are readable by
// their owner only.
//
// # Concurrency
//
// Only one goroutine at a time may use an Authority.
package authority
