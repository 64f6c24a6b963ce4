package cluster

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// throttled is the error of a call to which the API server has answered with a pause.
type throttled struct {
	code  int
	pause time.Duration
}

// Error says what the API server has answered.
func (t *throttled) Error() string {
	return fmt.Sprintf("the API server answers with %d %s, and asks for a pause of %v", t.code, http.StatusText(t.code), t.pause)
}

// impatient is a transport that returns an answer with a pause as an error. client-go would wait and
// send the same request again, although the newest state may be another one by then.
type impatient struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (i impatient) RoundTrip(request *http.Request) (*http.Response, error) {
	reply, err := i.next.RoundTrip(request)
	if err != nil || reply.StatusCode != http.StatusTooManyRequests && (reply.StatusCode < 500 || reply.Header.Get("Retry-After") == "") {
		return reply, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(reply.Body, 64<<10)) // so that the connection can be used again
	_ = reply.Body.Close()
	seconds, err := strconv.ParseUint(reply.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		seconds = 1
	}
	return nil, &throttled{code: reply.StatusCode, pause: time.Duration(seconds) * time.Second}
}
