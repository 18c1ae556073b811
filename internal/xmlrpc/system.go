package xmlrpc

import (
	"context"
	"fmt"
)

// maxCalls bounds a system.multicall; with maxMulticall, in bytes, it keeps
// one small body from asking for an answer that fills the memory.
const (
	maxCalls     = 100
	maxMulticall = 16 << 20
)

const multicall = "system.multicall"

// system are the methods by which a handler tells of itself, as
// http://scripts.incutio.com/xmlrpc/introspection.html describes them.
func (h *handler) system() []Method {
	return []Method{
		{
			Name: "system.listMethods", Signatures: [][]string{{"array"}},
			Help: "The names of all methods.",
			Func: func(context.Context, []any) (any, error) { return h.names, nil },
		},
		{
			Name: "system.methodHelp", Signatures: [][]string{{"string", "string"}},
			Help: "What a method does.",
			Func: func(_ context.Context, params []any) (any, error) {
				m, err := h.named(params[0])
				return m.Help, err
			},
		},
		{
			Name: "system.methodSignature", Signatures: [][]string{{"array", "string"}},
			Help: "Each way to call a method: the type of the answer, then those of the parameters; undef if it does not say.",
			Func: func(_ context.Context, params []any) (any, error) {
				m, err := h.named(params[0])
				if err != nil || len(m.Signatures) == 0 {
					return "undef", err
				}
				return m.Signatures, nil
			},
		},
		{
			Name: multicall, Signatures: [][]string{{"array", "array"}},
			Help: fmt.Sprintf("Makes up to %d calls, each a struct of methodName and params, in order; answers with an array of one value, or a fault, for each.", maxCalls),
		},
	}
}

func (h *handler) named(param any) (Method, error) {
	name, ok := param.(string)
	if !ok {
		return Method{}, &Fault{CodeBadParams, "the parameter must be the name of a method"}
	}
	m, ok := h.methods[name]
	if !ok {
		return Method{}, unknown(name)
	}
	return m, nil
}

func unknown(name string) *Fault {
	return &Fault{CodeUnknownMethod, fmt.Sprintf("unknown method %.100q; system.listMethods tells which there are", name)}
}

// multicall appends an array with the answer of each call, itself in an array,
// or its fault. It stands beside run, not among the methods' functions, because
// the answers go into the document as they come, which bounds their size.
func (h *handler) multicall(ctx context.Context, c *call, e *encoder) *Fault {
	if len(c.params) != 1 {
		return &Fault{CodeBadParams, "system.multicall takes one array of calls"}
	}
	calls, ok := c.params[0].([]any)
	if !ok || len(calls) > maxCalls {
		return &Fault{CodeBadParams, fmt.Sprintf("system.multicall takes an array of at most %d calls", maxCalls)}
	}
	e.raw("<value><array><data>")
	for _, one := range calls {
		from := len(e.buf)
		if fault := h.oneOf(ctx, one, e); fault != nil {
			e.buf = e.buf[:from]
			e.fault(fault)
		}
	}
	e.raw("</data></array></value>")
	return nil
}

func (h *handler) oneOf(ctx context.Context, one any, e *encoder) *Fault {
	members, _ := one.(map[string]any)
	name, hasName := members["methodName"].(string)
	params, hasParams := members["params"].([]any)
	switch {
	case !hasName || !hasParams:
		return &Fault{CodeBadParams, "a call in system.multicall is a struct of methodName and params"}
	case name == multicall:
		return &Fault{CodeBadParams, "system.multicall may not call itself"}
	case len(e.buf) > maxMulticall:
		return &Fault{CodeInternal, fmt.Sprintf("the answers before this one have more than %d bytes; call it alone", maxMulticall)}
	case ctx.Err() != nil:
		return &Fault{CodeInternal, "the time for all calls is over; call it alone"}
	}
	e.raw("<value><array><data>")
	if fault := h.run(ctx, &call{method: name, params: params}, e); fault != nil {
		return fault
	}
	e.raw("</data></array></value>")
	return nil
}
