package certs

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/meshhealth/meshhealth/internal/fields"
)

// maxFile is the largest size, in bytes, of a file with certificates or a key.
const maxFile = 4 << 20

// Files names files in PEM format.
type Files struct {
	// Cert is the file of the own certificate, followed by the certificates of its authorities but
	// the root. Key is the file of its private key. Both or none must be set. They must be in one
	// folder, because they are replaced together.
	Cert, Key string
	// Roots is the file with the certificates of the authorities that sign the certificates of
	// peers. If it is empty, a client uses the roots of the system, and a server requests no
	// certificate.
	Roots string
}

// checkNames returns the faults that are known without reading a file.
func (f Files) checkNames() error {
	var errs fields.Errors
	switch {
	case f.Cert != "" && f.Key == "":
		errs.Addf("Cert", "is given without key; both or none")
	case f.Cert == "" && f.Key != "":
		errs.Addf("Key", "is given without cert; both or none")
	case f.Cert != "" && filepath.Dir(f.Cert) != filepath.Dir(f.Key):
		errs.Addf("Key", "%q is not in the folder of cert; both are replaced together, so they must be", f.Key)
	}
	return errs.Join()
}

// content is what the files held when they were read. A file without a name is empty.
type content struct{ cert, key, roots file }

// file is the content of one file, or the error of reading it.
type file struct {
	text []byte
	err  error
}

func (f Files) read() content {
	return content{readFile(f.Cert), readFile(f.Key), readFile(f.Roots)}
}

// digest is the hash of a content. It differs for every text and every error.
type digest [sha256.Size]byte

// digest returns the hash of c. A Source compares hashes, so that it keeps no private key in its PEM
// format.
func (c content) digest() digest {
	hash := sha256.New()
	for _, f := range []file{c.cert, c.key, c.roots} {
		fmt.Fprintf(hash, "%d %v\n", len(f.text), f.err)
		hash.Write(f.text)
	}
	return digest(hash.Sum(nil))
}

func readFile(name string) (f file) {
	if name == "" {
		return file{}
	}
	f.text, f.err = readRegular(name)
	return f
}

// readRegular reads a regular file of at most maxFile bytes. O_NONBLOCK is for pipes: to open one
// would block for ever otherwise.
func readRegular(name string) ([]byte, error) {
	opened, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	info, err := opened.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%q is no regular file; allowed: a file in PEM format, because it is read again", name)
	}
	text, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%q is larger than %d MiB; allowed: a file in PEM format", name, maxFile>>20)
	}
	return text, err
}
