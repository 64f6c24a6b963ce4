package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/meshhealth/meshhealth/health"
)

// maxBody is how much of an answer is read, in bytes.
const maxBody = 64 << 10

// HTTP gets a URL: http or https. It passes if the status is one of want, or
// for want of them 200 to 299; an answer of application/health+json that says
// "warn" is a warning. Redirects are not followed: what redirects is not what
// was meant. A connection that breaks is tried once more, since it may have
// been an idle one the server was closing. At most 64 KiB of an answer are
// read. The client's transport is used; nil means one of its own.
func HTTP(client *http.Client, address string, want ...int) Func {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return wrong("URL", "cannot be used; allowed: http://HOST/… and https://HOST/…")
	}
	retrying := retrying(client)
	return func(ctx context.Context) error {
		req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", "application/health+json, */*;q=0.5")
		req.Header.Set("User-Agent", "meshhealth")
		resp, err := retrying.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		// Read to its end, so that the connection can be used again.
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		if err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		return judgeHTTP(resp, body, want)
	}
}

func retrying(client *http.Client) *retryablehttp.Client {
	if client == nil {
		client = cleanhttp.DefaultPooledClient()
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &retryablehttp.Client{
		HTTPClient: &own, RetryMax: 1, RetryWaitMin: 10 * time.Millisecond, RetryWaitMax: 100 * time.Millisecond,
		CheckRetry: onceMore, Backoff: retryablehttp.LinearJitterBackoff, ErrorHandler: asItIs,
	}
}

// onceMore retries what had no answer; any answer is what was asked for.
func onceMore(ctx context.Context, _ *http.Response, err error) (bool, error) {
	if err == nil || ctx.Err() != nil {
		return false, err
	}
	return true, nil
}

// asItIs keeps the error of the last try, without words about tries.
func asItIs(resp *http.Response, err error, _ int) (*http.Response, error) { return resp, err }

func judgeHTTP(resp *http.Response, body []byte, want []int) error {
	fine := resp.StatusCode/100 == 2
	if len(want) > 0 {
		fine = slices.Contains(want, resp.StatusCode)
	}
	switch {
	case !fine && resp.StatusCode/100 == 3:
		return fmt.Errorf("HTTP %s to %q", resp.Status, resp.Header.Get("Location"))
	case !fine:
		return fmt.Errorf("HTTP %s", resp.Status)
	case draftStatus(resp, body) == "warn":
		return health.Warnf("it answers with a warning")
	}
	return nil
}

// draftStatus returns the status of draft-inadarei-api-health-check-06, §3.1.
func draftStatus(resp *http.Response, body []byte) string {
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/health+json" {
		return ""
	}
	var answer struct{ Status string }
	// What is not JSON says nothing; the status code has been judged.
	_ = json.NewDecoder(bytes.NewReader(body)).Decode(&answer)
	return answer.Status
}
