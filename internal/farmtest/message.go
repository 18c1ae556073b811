package farmtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	"plague/internal/wire"
)

// message is one request on its way.
type message struct {
	*Caller
	to   string
	req  *http.Request
	body []byte
}

// vanish waits as one does for an answer that will not come.
func (m *message) vanish() error {
	if err := pause(m.req.Context(), silence); err != nil {
		return err
	}
	return fmt.Errorf("read from %s: %w", m.to, syscall.ETIMEDOUT)
}

func (m *message) broken() error {
	return fmt.Errorf("read from %s: %w", m.to, syscall.ECONNRESET)
}

// drop delivers the message and loses the answer.
func (m *message) drop(ctx context.Context) error {
	resp, err := m.exchange(ctx)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// exchange runs the handler at the other side and gives its answer as it comes.
func (m *message) exchange(ctx context.Context) (*http.Response, error) {
	h, err := m.Net.reach(m.to)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	parted := context.AfterFunc(h.ctx, cancel)
	r, w := io.Pipe()
	a := &answer{header: http.Header{}, begun: make(chan struct{}), body: w, power: h.power}
	go func() {
		defer h.calls.Done()
		defer parted()
		defer func() {
			if p := recover(); p != http.ErrAbortHandler && p != nil {
				panic(p)
			} else if p != nil {
				a.body.CloseWithError(syscall.ECONNRESET) // as net/http does
			}
		}()
		h.handler.ServeHTTP(a, m.request(ctx))
		a.end(ctx)
	}()
	t := time.NewTimer(silence)
	defer t.Stop()
	select {
	case <-a.begun:
		body := &answerBody{PipeReader: r, cancel: cancel}
		context.AfterFunc(ctx, func() { r.CloseWithError(syscall.ECONNRESET) })
		return a.response(m.req, body), nil
	case <-t.C:
		err = fmt.Errorf("read from %s: %w", m.to, syscall.ETIMEDOUT)
	case <-h.power.Off():
		err = m.broken()
	case <-ctx.Done():
		err = fmt.Errorf("read from %s: %w", m.to, ctx.Err())
	}
	cancel()
	r.Close()
	return nil, err
}

// request is what the other side gets.
func (m *message) request(ctx context.Context) *http.Request {
	r := m.req.Clone(wire.WithCaller(ctx, m.Name))
	r.Body = io.NopCloser(bytes.NewReader(m.body))
	r.ContentLength = int64(len(m.body))
	r.RequestURI = m.req.URL.RequestURI()
	r.RemoteAddr = m.From
	return r
}

// answer is what a handler writes to. It belongs to the handler's goroutine;
// the response is taken from it after begun.
type answer struct {
	header http.Header
	body   *io.PipeWriter
	power  *Power
	status int
	sent   http.Header // as it was when the answer began
	once   sync.Once
	begun  chan struct{}
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	a.once.Do(func() {
		if a.power.Use("answer") != nil {
			return // the other side hears of it by the power's end
		}
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	})
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if err := a.power.Use("answer"); err != nil {
		return 0, err
	}
	return a.body.Write(p)
}

// Flush begins the answer; what is written is on its way already.
func (a *answer) Flush() { a.WriteHeader(http.StatusOK) }

// end completes the answer, unless the process or the caller went away
// meanwhile.
func (a *answer) end(ctx context.Context) {
	a.WriteHeader(http.StatusOK)
	if ctx.Err() != nil || !a.power.On() {
		a.body.CloseWithError(syscall.ECONNRESET)
		return
	}
	a.body.Close()
}

func (a *answer) response(req *http.Request, body io.ReadCloser) *http.Response {
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.sent, Body: body, ContentLength: -1, Request: req,
	}
}

// answerBody lets the handler know when the caller has read enough.
type answerBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *answerBody) Close() error {
	err := b.PipeReader.Close()
	b.cancel()
	return err
}

// cutBody is an answer that breaks off.
type cutBody struct {
	io.ReadCloser
	left int64
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("read the answer: %w", syscall.ECONNRESET)
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}
