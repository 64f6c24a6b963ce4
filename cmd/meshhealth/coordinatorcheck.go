package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// wrong returns what is wrong with the flags. What came from the file has been
// checked there, with its line.
func (f *coordinatorFlags) wrong(cmd *cobra.Command, s *settings) error {
	var errs []error
	add := func(flag string, err error) {
		if err != nil {
			errs = append(errs, usage(cmd, "--%s: %w", flag, err))
		}
	}
	add("listen", given(f.listen, wire.CheckListen))
	add("http", given(f.http, orOff(wire.CheckListen)))
	add("log-format", oneOf(f.logFormat, logFormats))
	add("log-level", oneOf(f.logLevel, logLevels))
	if f.dataDir == off {
		add("data-dir", errors.New(`"off" is no folder; allowed: a folder, or --memory instead`))
	}
	add("data-dir", given(f.dataDir, checkDataDir))
	if f.tlsCert != "" || f.tlsKey != "" || f.tlsClient != "" {
		for _, e := range s.tls.flagErrors() {
			add(e.field, e.err)
		}
	}
	return errors.Join(errs...)
}

// flagErrors checks the files as they came from flags, perhaps together with a
// file.
func (t *tlsSetting) flagErrors() []*fieldError {
	if t.Cert == "" && t.Key == "" {
		return []*fieldError{{"tls-client-ca", errors.New("is given without --tls-cert and --tls-key")}}
	}
	errs := t.check()
	for _, e := range errs {
		e.field = map[string]string{"ca": "tls-client-ca", "cert": "tls-cert", "key": "tls-key"}[e.field]
	}
	return errs
}

// given checks a flag unless it was left out.
func given(value string, check func(string) error) error {
	if value == "" {
		return nil
	}
	return check(value)
}

func oneOf(value string, words []string) error {
	return given(value, func(string) error {
		if slices.Contains(words, value) {
			return nil
		}
		return errors.New("is " + strconv.Quote(value) + "; allowed: " + strings.Join(words, ", "))
	})
}
