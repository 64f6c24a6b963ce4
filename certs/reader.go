package certs

import (
	"context"
	"time"
)

// reader is the goroutine of a Source. Only this goroutine uses the fields.
type reader struct {
	*Source
	used, seen digest    // hashes of the content that is used, and of the content that was read last
	due        time.Time // time of the next read
	fault      string    // text of the last fault that was logged or returned; empty if there is none
	warned     int       // number of warnings for the own certificate
}

func (r *reader) run(ctx context.Context) {
	defer close(r.ended)
	for {
		timer := time.NewTimer(r.wait(time.Now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			r.look(time.Now())
		case <-r.peers.changed:
		case answer := <-r.reloads:
			answer <- r.reload(time.Now())
		}
		timer.Stop()
	}
}

// wait returns the time until the files must be read, or until a certificate of a peer expires.
func (r *reader) wait(now time.Time) time.Duration {
	next := r.due
	if expires := r.peers.nextExpiry(); !expires.IsZero() && expires.Before(next) {
		next = expires
	}
	return next.Sub(now)
}

// look closes connections whose certificates have expired, and reads the files if that is due.
func (r *reader) look(now time.Time) {
	if n := r.peers.closeExpired(r.current.Load(), now); n > 0 {
		r.log.Warn("connections were closed, because the certificates of the peers have expired; issue new ones", "connections", n)
	}
	if now.Before(r.due) {
		return
	}
	r.poll(now)
	r.warn(now)
}

// poll reads the files. It uses a new content if the read before has found it too.
func (r *reader) poll(now time.Time) {
	r.due = now.Add(r.every)
	found := r.files.read()
	hash := found.digest()
	stable := hash == r.seen
	r.seen = hash
	switch {
	case hash == r.used:
		r.fault = ""
		r.use(r.current.Load())
	case !stable:
		r.due = now.Add(min(r.every, stableFor))
	default:
		if err := r.apply(found, hash, now); err != nil && err.Error() != r.fault {
			r.fault = err.Error()
			r.log.Warn("certificate files cannot be used; the previous ones stay in use, and the files are read again until they are well",
				"fault", err, "cert", r.files.Cert, "roots", r.files.Roots)
		}
	}
}

// reload reads the files and uses their content at once.
func (r *reader) reload(now time.Time) error {
	found := r.files.read()
	hash := found.digest()
	r.seen, r.due = hash, now.Add(r.every)
	err := r.apply(found, hash, now)
	if err != nil {
		r.fault = err.Error()
	}
	return err
}

// apply uses a content if it has no fault. It then closes each connection whose peer is no longer
// trusted.
func (r *reader) apply(found content, hash digest, now time.Time) error {
	m, err := found.parse(r.files, now)
	if err != nil {
		r.failed(err)
		return err
	}
	r.fault = ""
	if hash == r.used {
		r.use(r.current.Load())
		return nil
	}
	r.used, r.warned = hash, 0
	r.use(m)
	closed := r.peers.closeUntrusted(m, now)
	r.log.Info("certificate files were read again", "cert", r.files.Cert, "roots", r.files.Roots, "expires", m.expires())
	if closed > 0 {
		r.log.Warn("connections were closed, because the roots of the peers' certificates were removed", "connections", closed, "roots", r.files.Roots)
	}
	r.warn(now)
	return nil
}

// expiryWarnings are the times before the own certificate expires at which a warning is logged.
var expiryWarnings = []time.Duration{14 * 24 * time.Hour, 24 * time.Hour, 0}

// warn logs that the own certificate expires soon, or has expired: once for each of expiryWarnings.
// If several are due, it logs one record.
func (r *reader) warn(now time.Time) {
	expires := r.current.Load().expires()
	if expires.IsZero() {
		return
	}
	due := 0
	for _, before := range expiryWarnings {
		if !now.Before(expires.Add(-before)) {
			due++
		}
	}
	if due <= r.warned {
		return
	}
	r.warned = due
	if now.Before(expires) {
		r.log.Warn("the certificate expires soon; replace it and its key, and they are read again without a restart",
			"cert", r.files.Cert, "expires", expires, "left", expires.Sub(now).Round(time.Minute))
		return
	}
	r.log.Error("the certificate has expired, so peers refuse it; replace it and its key, and they are read again without a restart",
		"cert", r.files.Cert, "expired", expires)
}
