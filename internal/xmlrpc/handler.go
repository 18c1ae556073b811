package xmlrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

type handler struct {
	methods map[string]Method
	names   []string // sorted
	limits  limits
	o       Options
}

// NewHandler answers calls of the methods, and of system.listMethods,
// system.methodHelp, system.methodSignature and system.multicall, on whatever
// paths it is mounted. Two methods of one name are a mistake in the program:
// it panics.
func NewHandler(methods []Method, o Options) http.Handler {
	h := &handler{methods: map[string]Method{}}
	h.o, h.limits = o.withDefaults()
	for _, m := range slices.Concat(methods, h.system()) {
		if _, twice := h.methods[m.Name]; twice {
			panic("xmlrpc: two methods " + m.Name)
		}
		h.methods[m.Name] = m
	}
	h.names = slices.Sorted(maps.Keys(h.methods))
	return h
}

// ServeHTTP bounds the time in which the body comes. net/http takes that bound
// away when the body has come whole; otherwise it must stay, for it keeps
// net/http itself from waiting for the rest.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.o.Timeout)) // a writer in memory has no deadlines, and needs none
	if r.Method != http.MethodPost {
		h.drain(r)
		w.Header().Set("Allow", http.MethodPost)
		h.write(w, http.StatusMethodNotAllowed, plainText, []byte("this address answers XML-RPC calls: POST one\n"))
		return
	}
	if !isXML(r.Header) {
		h.drain(r)
		h.write(w, http.StatusUnsupportedMediaType, plainText, []byte("the call must be sent plain, with Content-Type: text/xml\n"))
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, h.limits.body+1))
	if err != nil {
		h.write(w, http.StatusBadRequest, plainText, []byte("the body did not come: "+err.Error()+"\n"))
		return
	}
	if int64(len(body)) > h.limits.body {
		h.drain(r)
		text := fmt.Sprintf("the call has more than %d bytes", h.limits.body)
		h.write(w, http.StatusOK, xmlText, encodeFault(&Fault{CodeParse, text}))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.o.Timeout)
	defer cancel()
	h.write(w, http.StatusOK, xmlText, h.answer(ctx, body))
}

const (
	plainText = "text/plain; charset=utf-8"
	xmlText   = "text/xml; charset=utf-8"
)

// isXML says whether the body claims to be XML. What a foreign web page could
// make a browser send without asking first (forms, plain text, no type at all)
// must not pass: a browser may hold the user's certificate.
func isXML(header http.Header) bool {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	coding := header.Get("Content-Encoding")
	return (strings.HasSuffix(kind, "/xml") || strings.HasSuffix(kind, "+xml")) && (coding == "" || coding == "identity")
}

// drain reads over the rest of a refused body, as much as would have been
// allowed: a client that still writes would see a broken connection in place
// of the answer.
func (h *handler) drain(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, h.limits.body) }

// write sends an answer. The bound on its time ends with it: the connection may
// go on to serve something else.
func (h *handler) write(w http.ResponseWriter, status int, kind string, answer []byte) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(h.o.Timeout))
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(status)
	if _, err := w.Write(answer); err != nil {
		return // the caller has gone; nobody is left to tell
	}
	_ = c.Flush()
	_ = c.SetWriteDeadline(time.Time{})
}

func (h *handler) answer(ctx context.Context, body []byte) []byte {
	c, err := decodeCall(body, h.limits)
	if err != nil {
		return encodeFault(&Fault{CodeParse, "the call cannot be read: " + err.Error()})
	}
	e := encoder{buf: []byte(responseBegin), nilOK: c.sawNil || h.o.AllowNil}
	run := h.run
	if c.method == multicall {
		run = h.multicall
	}
	if fault := run(ctx, c, &e); fault != nil {
		return encodeFault(fault)
	}
	e.raw(responseEnd)
	return e.buf
}

// run makes one call and appends its answer. After a fault there may be a part
// of one behind the encoder's text.
func (h *handler) run(ctx context.Context, c *call, e *encoder) *Fault {
	m, ok := h.methods[c.method]
	if !ok {
		return unknown(c.method)
	}
	if !m.takes(len(c.params)) {
		return &Fault{CodeBadParams, fmt.Sprintf("%s does not take %d parameters; system.methodSignature tells what it takes", m.Name, len(c.params))}
	}
	v, fault := h.invoke(ctx, m, c.params)
	if fault != nil {
		return fault
	}
	if err := e.value(v, 0); err != nil {
		h.o.Log.ErrorContext(ctx, "answer cannot be encoded", "method", m.Name, "error", err)
		return &Fault{CodeInternal, "internal error: the answer of " + m.Name + " cannot be encoded"}
	}
	return nil
}

func (h *handler) invoke(ctx context.Context, m Method, params []any) (v any, fault *Fault) {
	defer func() {
		if p := recover(); p != nil {
			h.o.Log.ErrorContext(ctx, "method panicked", "method", m.Name, "panic", p, "stack", string(debug.Stack()))
			v, fault = nil, &Fault{CodeInternal, "internal error in " + m.Name + "; the log has the rest"}
		}
	}()
	v, err := m.Func(ctx, params)
	if err == nil {
		return v, nil
	}
	if fault = h.o.Fault(err); fault == nil {
		fault = plainFault(err)
	}
	return nil, fault
}

func plainFault(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return &Fault{Code: 1, Message: err.Error()}
}
