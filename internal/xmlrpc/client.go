package xmlrpc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A Client calls the methods of one server. Its fields are set before the
// first call and not changed after; any number of goroutines may call.
type Client struct {
	URL       string       // such as https://farm.example.com:8887/RPC2
	HTTP      *http.Client // default: http.DefaultClient
	UserAgent string       // default: that of net/http
	MaxBody   int64        // bytes of an answer; default 16 MiB
}

// An HTTPError is an answer that is no XML-RPC: the server, or something
// before it, refused the request.
type HTTPError struct {
	Status int    // such as 403
	Text   string // the beginning of the body
}

func (e *HTTPError) Error() string {
	text := fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// Call calls a method with params, which are whatever Marshal takes, and gives
// its answer. A fault comes back as a *Fault, another HTTP status than 200 as
// an *HTTPError. The context, or the HTTP client, bounds the time.
func (c *Client) Call(ctx context.Context, method string, params ...any) (any, error) {
	body, err := encodeCall(method, params)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", method, err)
	}
	answer, err := c.post(ctx, body)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", method, err)
	}
	v, fault, err := decodeResponse(answer, c.limits())
	if err != nil {
		return nil, fmt.Errorf("call %s: the answer cannot be read: %w", method, err)
	}
	if fault != nil {
		return nil, fault
	}
	return v, nil
}

func (c *Client) limits() limits {
	l := defaultLimits()
	l.body = orDefault(c.MaxBody, l.body)
	return l
}

func (c *Client) post(ctx context.Context, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "text/xml")
	if c.UserAgent != "" {
		r.Header.Set("User-Agent", c.UserAgent)
	}
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	resp, err := hc.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, httpError(resp)
	}
	limit := c.limits().body
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(answer)) > limit {
		return nil, fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	return answer, nil
}

// maxErrorText is how much of a page that says no is worth showing.
const maxErrorText = 300

func httpError(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorText)) // what came is better than nothing
	return &HTTPError{Status: resp.StatusCode, Text: strings.TrimSpace(strings.ToValidUTF8(string(text), ""))}
}
