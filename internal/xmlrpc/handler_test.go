package xmlrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func testMethods() []Method {
	return []Method{
		{Name: "echo", Help: "Gives its parameters back.", Func: func(_ context.Context, params []any) (any, error) { return params, nil }},
		{Name: "first", Func: func(_ context.Context, params []any) (any, error) { return params[0], nil }},
		{Name: "none", Signatures: [][]string{{"nil"}}, Func: func(context.Context, []any) (any, error) { return nil, nil }},
		{Name: "add", Signatures: [][]string{{"int", "int"}, {"int", "int", "int"}}, Func: func(_ context.Context, params []any) (any, error) {
			sum := 0
			for _, p := range params {
				sum += p.(int)
			}
			return sum, nil
		}},
		{Name: "fail", Func: func(context.Context, []any) (any, error) { return nil, errors.New("it failed") }},
		{Name: "fault", Func: func(context.Context, []any) (any, error) {
			return nil, fmt.Errorf("wrapped: %w", &Fault{42, "no <way>"})
		}},
		{Name: "unsayable", Func: func(context.Context, []any) (any, error) { return func() {}, nil }},
		{Name: "wait", Func: func(ctx context.Context, _ []any) (any, error) { <-ctx.Done(); return nil, ctx.Err() }},
		{Name: "large", Func: func(context.Context, []any) (any, error) { return strings.Repeat("x", 1<<20), nil }},
	}
}

// serve answers on loopback and gives a client for it.
func serve(t testing.TB, o Options, more ...Method) *Client {
	t.Helper()
	s := httptest.NewServer(NewHandler(append(testMethods(), more...), o))
	t.Cleanup(s.Close)
	return &Client{URL: s.URL + "/RPC2", HTTP: s.Client()}
}

func TestCall(t *testing.T) {
	c := serve(t, Options{})
	got, err := c.Call(t.Context(), "echo", 1, "a", []string{"b"}, fullOrders().Attempts[0])
	want := []any{1, "a", []any{"b"}, map[string]any{
		"arch_job": 7, "number": 1, "token": "t", "phase": "done",
		"ended_at": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "failure": map[string]any{"message": "m"},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v\nwant %#v", got, err, want)
	}
	if _, err := c.Call(t.Context(), "echo", func() {}); err == nil || !strings.Contains(err.Error(), "parameter 1") {
		t.Errorf("parameter that cannot be sent: got %v", err)
	}
	if got, err := (&Client{URL: strings.TrimSuffix(c.URL, "RPC2"), MaxBody: 1 << 10}).Call(t.Context(), "large"); err == nil || !strings.Contains(err.Error(), "longer than 1024") {
		t.Errorf("answer too large: got %.40v, %v", got, err)
	}
}

// Builders behind NAT are called over HTTP/2, whose streams have deadlines of
// their own.
func TestHTTP2(t *testing.T) {
	s := httptest.NewUnstartedServer(NewHandler(testMethods(), Options{MaxBody: 1 << 20}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := &Client{URL: s.URL + "/RPC2", HTTP: s.Client()}
	for range 3 {
		if got, err := c.Call(t.Context(), "add", 1, 2); err != nil || got != 3 {
			t.Errorf("got %v, %v, want 3", got, err)
		}
		_, err := c.Call(t.Context(), "first", strings.Repeat("x", 3<<19))
		if f, ok := err.(*Fault); !ok || f.Code != CodeParse {
			t.Errorf("too large: got %v, want a fault", err)
		}
	}
}

func TestFaults(t *testing.T) {
	var log bytes.Buffer
	c := serve(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	tests := []struct {
		method string
		params []any
		want   Fault // Message: a part of it
		log    string
	}{
		{"nobody", nil, Fault{CodeUnknownMethod, `unknown method "nobody"; system.listMethods`}, ""},
		{"add", nil, Fault{CodeBadParams, "add does not take 0 parameters"}, ""},
		{"add", []any{1, 2, 3}, Fault{CodeBadParams, "add does not take 3 parameters"}, ""},
		{"fail", nil, Fault{1, "it failed"}, ""},
		{"fault", nil, Fault{42, "no <way>"}, ""},
		{"add", []any{"x"}, Fault{CodeInternal, "internal error in add"}, "method=add"},
		{"unsayable", nil, Fault{CodeInternal, "cannot be encoded"}, "method=unsayable"},
		{"system.methodHelp", []any{"nobody"}, Fault{CodeUnknownMethod, "nobody"}, ""},
		{"system.methodHelp", []any{1}, Fault{CodeBadParams, "name of a method"}, ""},
		{"system.multicall", nil, Fault{CodeBadParams, "one array"}, ""},
		{"system.multicall", []any{make([]any, maxCalls+1)}, Fault{CodeBadParams, "at most 100"}, ""},
	}
	for _, tt := range tests {
		log.Reset()
		v, err := c.Call(t.Context(), tt.method, tt.params...)
		f, ok := err.(*Fault)
		if !ok || f.Code != tt.want.Code || !strings.Contains(f.Message, tt.want.Message) {
			t.Errorf("%s%v: got %v, %v, want fault %v", tt.method, tt.params, v, err, tt.want)
		}
		if !strings.Contains(log.String(), tt.log) || (tt.log == "") != (log.Len() == 0) {
			t.Errorf("%s%v: logged %q, want %q", tt.method, tt.params, log.String(), tt.log)
		}
	}
	mapped := serve(t, Options{Fault: func(err error) *Fault { return &Fault{9, "mapped " + err.Error()} }})
	if _, err := mapped.Call(t.Context(), "fail"); !reflect.DeepEqual(err, &Fault{9, "mapped it failed"}) {
		t.Errorf("mapped: got %v", err)
	}
}

func TestNilInAnswers(t *testing.T) {
	plain, allowed := serve(t, Options{}), serve(t, Options{AllowNil: true})
	tests := []struct {
		c      *Client
		method string
		params []any
		want   any
	}{
		{plain, "none", nil, ""},
		{plain, "first", []any{nil}, nil},
		{plain, "first", []any{[]any{nil}}, []any{nil}},
		{allowed, "none", nil, nil},
	}
	for _, tt := range tests {
		if got, err := tt.c.Call(t.Context(), tt.method, tt.params...); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s%v: got %#v, %v, want %#v", tt.method, tt.params, got, err, tt.want)
		}
	}
}

func TestSystem(t *testing.T) {
	c := serve(t, Options{})
	names, err := c.Call(t.Context(), "system.listMethods")
	list, _ := names.([]any)
	if err != nil || !slices.Contains(list, any("echo")) || !slices.Contains(list, any("system.multicall")) || len(list) != len(testMethods())+4 {
		t.Errorf("listMethods: got %v, %v", names, err)
	}
	for _, tt := range []struct {
		method, of string
		want       any
	}{
		{"system.methodHelp", "echo", "Gives its parameters back."},
		{"system.methodSignature", "add", []any{[]any{"int", "int"}, []any{"int", "int", "int"}}},
		{"system.methodSignature", "echo", "undef"},
	} {
		if got, err := c.Call(t.Context(), tt.method, tt.of); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s(%s): got %v, %v, want %v", tt.method, tt.of, got, err, tt.want)
		}
	}
}

func TestMulticall(t *testing.T) {
	c := serve(t, Options{})
	one := func(name string, params ...any) any {
		return map[string]any{"methodName": name, "params": append([]any{}, params...)}
	}
	got, err := c.Call(t.Context(), "system.multicall", []any{one("add", 1, 2), one("fault"), one("system.multicall", []any{}), "x", one("first", []any{"a"})})
	list, _ := got.([]any)
	if err != nil || len(list) != 5 {
		t.Fatalf("got %v, %v", got, err)
	}
	for i, want := range []any{[]any{3}, 42, CodeBadParams, CodeBadParams, []any{[]any{"a"}}} {
		got := list[i]
		if fault, ok := got.(map[string]any); ok {
			got = fault["faultCode"]
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("call %d: got %v, want %v", i, list[i], want)
		}
	}
	c.MaxBody = 2 * maxMulticall
	if got, err = c.Call(t.Context(), "system.multicall", slices.Repeat([]any{one("large")}, maxCalls)); err != nil {
		t.Fatal(err)
	}
	if fault, ok := got.([]any)[maxCalls-1].(map[string]any); !ok || fault["faultCode"] != CodeInternal {
		t.Errorf("large answers: the last is %.40v, want a fault", got.([]any)[maxCalls-1])
	}
}

func TestTwoMethodsOfOneName(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewHandler([]Method{{Name: "a"}, {Name: "a"}}, Options{})
}

func TestHTTP(t *testing.T) {
	c := serve(t, Options{MaxBody: 1000})
	const ok = "<methodCall><methodName>none</methodName></methodCall>"
	tests := []struct {
		name, method, kind, body string
		status                   int
		want                     string
	}{
		{"plain", "POST", "text/xml", ok, 200, "<string></string>"},
		{"with parameters", "POST", "Text/XML; charset=utf-8", ok, 200, "<string></string>"},
		{"other XML", "POST", "application/xml", ok, 200, "<string></string>"},
		{"sloppy parameters", "POST", "application/x+xml; charset", ok, 200, "<string></string>"},
		{"get", "GET", "", "", 405, "POST"},
		{"put", "PUT", "text/xml", ok, 405, "POST"},
		{"form", "POST", "application/x-www-form-urlencoded", ok, 415, "text/xml"},
		{"text", "POST", "text/plain", ok, 415, "text/xml"},
		{"no type", "POST", "", ok, 415, "text/xml"},
		{"form, large", "POST", "text/plain", strings.Repeat("x", 900_000), 415, "text/xml"},
		{"too large", "POST", "text/xml", ok + strings.Repeat(" ", 1001-len(ok)), 200, "more than 1000 bytes"},
		{"just not too large", "POST", "text/xml", ok + strings.Repeat(" ", 1000-len(ok)), 200, "<string></string>"},
		{"no XML", "POST", "text/xml", "hello", 200, "-32700"},
		{"empty", "POST", "text/xml", "", 200, "-32700"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, c.URL, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.kind != "" {
				r.Header.Set("Content-Type", tt.kind)
			}
			resp, err := c.HTTP.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
				t.Errorf("got %d %q, %v, want %d with %q", resp.StatusCode, body, err, tt.status, tt.want)
			}
			if resp.StatusCode == http.StatusOK && resp.ContentLength != int64(len(body)) {
				t.Errorf("Content-Length is %d, want %d", resp.ContentLength, len(body))
			}
		})
	}
}

// A client that sends more than is allowed sees why: the rest is read over.
func TestRefusedBodyIsDrained(t *testing.T) {
	c := serve(t, Options{MaxBody: 32 << 20})
	_, err := c.Call(t.Context(), "first", strings.Repeat("x", 60<<20))
	if f, ok := err.(*Fault); !ok || f.Code != CodeParse || !strings.Contains(f.Message, "more than") {
		t.Errorf("got %v, want a fault", err)
	}
}

func TestHTTPError(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "not you, "+r.UserAgent()+strings.Repeat(".", 1<<20), http.StatusForbidden)
	}))
	t.Cleanup(s.Close)
	_, err := (&Client{URL: s.URL, UserAgent: "plague/1"}).Call(t.Context(), "m")
	he, ok := errors.AsType[*HTTPError](err)
	if !ok || he.Status != http.StatusForbidden || !strings.HasPrefix(he.Text, "not you, plague/1...") || len(he.Text) > maxErrorText {
		t.Errorf("got %v, want the page's beginning and its status", err)
	}
}

// A method that heeds its context ends when the call's time is over.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHandler(testMethods(), Options{Timeout: 20 * time.Second})
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader("<methodCall><methodName>wait</methodName></methodCall>"))
		r.Header.Set("Content-Type", "text/xml")
		w, begun := httptest.NewRecorder(), time.Now()
		h.ServeHTTP(w, r)
		if took := time.Since(begun); took != 20*time.Second || !strings.Contains(w.Body.String(), "deadline exceeded") {
			t.Errorf("after %s: %s", took, w.Body)
		}
	})
}

// A body that does not come ends the request; one that came in time leaves no
// deadline behind that would end a call which takes longer (net/http sees to
// that, without a promise).
func TestSlowBody(t *testing.T) {
	pause := Method{Name: "pause", Func: func(ctx context.Context, _ []any) (any, error) {
		select {
		case <-ctx.Done():
			return "ended", nil
		case <-time.After(15 * time.Second):
			return "whole", nil
		}
	}}
	const call = "<methodCall><methodName>pause</methodName></methodCall>"
	for _, tt := range []struct {
		late   time.Duration
		status int
		want   string
		after  time.Duration
	}{
		{15 * time.Second, http.StatusOK, "whole", 30 * time.Second},
		{time.Hour, http.StatusBadRequest, "did not come", 20 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := inMemory(t, NewHandler([]Method{pause}, Options{Timeout: 20 * time.Second}))
			tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }}
			defer tr.CloseIdleConnections()
			body, w := io.Pipe()
			go func() {
				io.WriteString(w, call[:10])
				time.Sleep(tt.late)
				io.WriteString(w, call[10:])
				w.Close()
			}()
			begun := time.Now()
			r, err := http.NewRequestWithContext(t.Context(), "POST", "http://server/", body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = int64(len(call))
			r.Header.Set("Content-Type", "text/xml")
			resp, err := (&http.Client{Transport: tr}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			answer, _ := io.ReadAll(resp.Body)
			if took := time.Since(begun); resp.StatusCode != tt.status || !strings.Contains(string(answer), tt.want) || took != tt.after {
				t.Errorf("body after %s: got %d %s after %s, want %d with %q after %s", tt.late, resp.StatusCode, answer, took, tt.status, tt.want, tt.after)
			}
			time.Sleep(2 * time.Hour) // the writer ends
		})
	}
}

// A caller that does not read its answer loses the connection.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inMemory(t, NewHandler(testMethods(), Options{Timeout: 20 * time.Second})).dial()
		defer c.Close()
		const call = "<methodCall><methodName>large</methodName></methodCall>"
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: server\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", len(call), call)
		time.Sleep(21 * time.Second)
		if got, _ := io.ReadAll(c); len(got) > 0 {
			t.Errorf("got %d bytes after the time was over, want a closed connection", len(got))
		}
	})
}

// inMemory serves over pipes, whose deadlines run in a synctest bubble.
func inMemory(t *testing.T, h http.Handler) *pipes {
	l := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l
}

type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.accepted <- theirs
	return ours
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }
