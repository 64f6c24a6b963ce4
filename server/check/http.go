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

// maxBody is the largest number of bytes that a check reads from the body of an answer.
const maxBody = 64 << 10

// HTTP returns a check that sends GET to an http or https URL. The parameter want lists the status
// codes with which the check passes. Without this parameter, these are 200 to 299. The check warns
// if the answer is application/health+json with the status "warn". It does not follow redirects,
// because the answer would be about another URL.
//
// If the connection breaks, the check sends the request once more, because the server may have
// closed an idle connection. The check reads at most 64 KiB of an answer. It uses the transport of
// client. If client is nil, the check has a transport of its own.
func HTTP(client *http.Client, address string, want ...int) Func {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return invalid("URL", "cannot be used; allowed: http://HOST/… and https://HOST/…")
	}
	retrying := retryingClient(client)
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
		// The connection can be used for the next run only if the answer was read to the end.
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		if err != nil {
			return fmt.Errorf("cannot read the answer: %w", err)
		}
		return evaluateResponse(resp, body, want)
	}
}

// retryingClient returns a copy of client that sends a request once more if the
// connection breaks.
func retryingClient(client *http.Client) *retryablehttp.Client {
	if client == nil {
		client = cleanhttp.DefaultPooledClient()
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &retryablehttp.Client{
		HTTPClient: &own, RetryMax: 1, RetryWaitMin: 10 * time.Millisecond, RetryWaitMax: 100 * time.Millisecond,
		CheckRetry: retryWithoutAnswer, Backoff: retryablehttp.LinearJitterBackoff, ErrorHandler: keepError,
	}
}

// retryWithoutAnswer implements retryablehttp.CheckRetry. It allows a retry only if the server has
// not answered. An answer with any HTTP status is an answer.
func retryWithoutAnswer(ctx context.Context, _ *http.Response, err error) (bool, error) {
	if err == nil || ctx.Err() != nil {
		return false, err
	}
	return true, nil
}

// keepError implements retryablehttp.ErrorHandler. It returns the error of the last attempt
// without a change.
func keepError(resp *http.Response, err error, _ int) (*http.Response, error) { return resp, err }

func evaluateResponse(resp *http.Response, body []byte, want []int) error {
	ok := resp.StatusCode/100 == 2
	if len(want) > 0 {
		ok = slices.Contains(want, resp.StatusCode)
	}
	switch {
	case !ok && resp.StatusCode/100 == 3:
		return fmt.Errorf("HTTP %s to %q", resp.Status, resp.Header.Get("Location"))
	case !ok:
		return fmt.Errorf("HTTP %s", resp.Status)
	case healthJSONStatus(resp, body) == "warn":
		return health.Warnf("the answer has the status \"warn\", which is a warning")
	}
	return nil
}

// healthJSONStatus returns the status field of an answer that is application/health+json,
// as defined in draft-inadarei-api-health-check-06, section 3.1.
func healthJSONStatus(resp *http.Response, body []byte) string {
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/health+json" {
		return ""
	}
	var answer struct{ Status string }
	// If the body is not JSON, only the status code counts.
	_ = json.NewDecoder(bytes.NewReader(body)).Decode(&answer)
	return answer.Status
}
