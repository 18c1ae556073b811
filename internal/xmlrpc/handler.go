package xmlrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Method is a call that a handler answers.
type Method struct {
	Name string
	Help string // for people: what it does, in a sentence or two
	// Signatures are the type of the answer and then those of the parameters,
	// one list for each number of parameters it takes. A call with another
	// number is refused; without signatures, none is.
	Signatures [][]string
	// Func answers. Its answer is whatever Marshal takes. It runs until it
	// returns, whatever its context says, so it must heed it.
	Func func(ctx context.Context, params []any) (any, error)
}

// Options of a handler; the zero value of each is its default.
type Options struct {
	MaxBody   int64              // bytes of a call, as sent and in UTF-8; default 16 MiB
	MaxDepth  int                // arrays and structs inside each other; default 64, at most 1,000
	MaxValues int                // default 200,000
	MaxString int                // bytes of one string or base64 text; default 8 MiB
	Timeout   time.Duration      // for the body to come, for the call, for the answer to go; default 60 s each
	Fault     func(error) *Fault // what a caller sees of a method's error; default: a *Fault as it is, else code 1 and its text
	AllowNil  bool               // answer with nil even to those who sent none; else they get an empty string
	Log       *slog.Logger       // default: discard
}

// maxDepth bounds what the options may ask for: each level is a level of calls.
const maxDepth = 1000

func (o Options) withDefaults() (Options, limits) {
	l := defaultLimits()
	l.body = orDefault(o.MaxBody, l.body)
	l.depth = min(orDefault(o.MaxDepth, l.depth), maxDepth)
	l.values = orDefault(o.MaxValues, l.values)
	l.text = orDefault(o.MaxString, l.text)
	o.Timeout = orDefault(o.Timeout, time.Minute)
	if o.Fault == nil {
		o.Fault = plainFault
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, l
}

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

func plainFault(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return &Fault{Code: 1, Message: err.Error()}
}

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

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		h.refuse(w, r, http.StatusMethodNotAllowed, "this address answers XML-RPC calls: POST one")
		return
	}
	if !isXML(r.Header) {
		h.refuse(w, r, http.StatusUnsupportedMediaType, "the call must be sent plain, with Content-Type: text/xml")
		return
	}
	body, err := h.read(w, r)
	if errors.Is(err, errTooLarge) {
		h.write(w, encodeFault(&Fault{CodeParse, err.Error()}))
		return
	}
	if err != nil {
		http.Error(w, "the body did not come: "+err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.o.Timeout)
	defer cancel()
	h.write(w, h.answer(ctx, body))
}

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

var errTooLarge = errors.New("the call is too large")

// read takes the body within the time and the size allowed. The rest of a body
// that is too large is read over, as far again: a client that still writes
// would see a broken connection in place of the fault.
func (h *handler) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	defer h.deadline(w)()
	body, err := io.ReadAll(io.LimitReader(r.Body, h.limits.body+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > h.limits.body {
		h.drain(r)
		return nil, fmt.Errorf("%w: more than %d bytes", errTooLarge, h.limits.body)
	}
	return body, nil
}

// deadline bounds reading the body. What it gives takes the bound away again:
// past it, the server would take the connection for dead and end the call. A
// writer that knows no deadlines, as in tests, has none.
func (h *handler) deadline(w http.ResponseWriter) (done func()) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(h.o.Timeout))
	return func() { _ = c.SetReadDeadline(time.Time{}) }
}

func (h *handler) drain(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, h.limits.body) }

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	defer h.deadline(w)()
	h.drain(r)
	http.Error(w, text, status)
}

// write sends an answer. The bound on its time ends with it: the connection may
// go on to serve something else.
func (h *handler) write(w http.ResponseWriter, answer []byte) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(h.o.Timeout))
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
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

// takes says whether the method may be called with n parameters.
func (m Method) takes(n int) bool {
	return len(m.Signatures) == 0 ||
		slices.ContainsFunc(m.Signatures, func(s []string) bool { return len(s) == n+1 })
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
