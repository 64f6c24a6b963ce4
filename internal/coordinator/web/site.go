package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// dist has the files of the page, as the build of the page has written them.
//
//go:embed dist
var dist embed.FS

// indexName is the file that each view of the page starts with.
const indexName = "index.html"

// The texts of indexName that differ between coordinators. Each must be in the file exactly once.
const (
	rootPlace  = `<html lang="en">`
	basePlace  = `<base href="/ui/">`
	buildPlace = `<meta name="meshhealth-build" content="">`
)

// site serves the page for people, below /ui/. Its files are made once, at the start.
type site struct {
	prefix string
	files  map[string]*file // by the name of the file
}

// file is one file of the page with the headers that depend on its content.
type file struct {
	kind    string // the value of Content-Type
	plain   variant
	gzipped variant // no body if compression does not make the file smaller
}

// variant is the content of a file in one encoding.
type variant struct {
	body []byte
	tag  string // strong ETag
}

// newSite returns the page of a coordinator with a build. prefix is the path below which a proxy shows
// the coordinator. open says that everybody may change everything, which the page then shows.
func newSite(files fs.FS, prefix, build string, open bool) (*site, error) {
	s := &site{prefix: prefix, files: map[string]*file{}}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		body, err := fs.ReadFile(files, e.Name())
		if err != nil {
			return nil, err
		}
		if e.Name() == indexName {
			body = fillIndex(body, prefix, build, open)
		}
		s.files[e.Name()] = newFile(e.Name(), body)
	}
	if s.files[indexName] == nil {
		return nil, fmt.Errorf("the page has no %s", indexName)
	}
	return s, nil
}

// openRoot is the text at rootPlace that makes app.css show a banner on each view. It needs no script.
const openRoot = `<html lang="en" data-open>`

func fillIndex(body []byte, prefix, build string, open bool) []byte {
	root := rootPlace
	if open {
		root = openRoot
	}
	return []byte(strings.NewReplacer(
		rootPlace, root,
		basePlace, `<base href="`+html.EscapeString(prefix)+`/ui/">`,
		buildPlace, `<meta name="meshhealth-build" content="`+html.EscapeString(build)+`">`,
	).Replace(string(body)))
}

func newFile(name string, body []byte) *file {
	sum := sha256.Sum256(body)
	tag := base64.RawURLEncoding.EncodeToString(sum[:12])
	f := &file{kind: kindOf(name), plain: variant{body, `"` + tag + `"`}}
	if packed := compressed(body); len(packed) < len(body) {
		f.gzipped = variant{packed, `"` + tag + `-gz"`}
	}
	return f
}

// kindOf returns the Content-Type of a file. The types of the page are listed here, because the
// package mime also reads files of the machine.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		return kind
	}
	return "application/octet-stream"
}

func compressed(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return body // impossible, because the level is valid
	}
	_, _ = w.Write(body) // a bytes.Buffer returns no error
	_ = w.Close()
	return b.Bytes()
}

// index answers every path below /ui/ that names no file, so that a link to a view of the page works.
func (s *site) index(w http.ResponseWriter, r *http.Request) { s.files[indexName].serve(w, r) }

// asset answers with a file.
func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	f := s.files[r.PathValue("name")]
	if f == nil {
		http.Error(w, "the page has no such file", http.StatusNotFound)
		return
	}
	f.serve(w, r)
}

// enter redirects /ui to /ui/, with the same query.
func (s *site) enter(w http.ResponseWriter, r *http.Request) {
	to := url.URL{Path: s.prefix + "/ui/", RawQuery: r.URL.RawQuery}
	http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h, v := w.Header(), f.plain
	h.Add("Vary", "Accept-Encoding")
	if f.gzipped.body != nil && takesGzip(r.Header.Values("Accept-Encoding")) {
		v = f.gzipped
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", f.kind)
	h.Set("ETag", v.tag)
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(v.body))
}

// takesGzip reports whether a client accepts gzip, from the values of Accept-Encoding.
func takesGzip(values []string) bool {
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, parameters, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, given := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !given || err == nil && weight > 0
	}
	return false
}

// policy is the Content-Security-Policy of every answer below /ui: only files and calls of this
// server, nothing inline, and no frame around the page.
const policy = "default-src 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'; form-action 'none'"

// secured returns a handler that adds the headers with which a browser isolates the page.
func secured(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy":      policy,
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		} {
			w.Header().Set(name, value)
		}
		next(w, r)
	}
}
