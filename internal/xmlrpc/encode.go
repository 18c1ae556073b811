package xmlrpc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

const header = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// An encoder appends values to a document in UTF-8.
type encoder struct {
	buf   []byte
	nilOK bool // the peer reads nil; else it becomes an empty string
}

// encodeCall makes the body of a call. It may hold nil, for which XML-RPC has
// no other word.
func encodeCall(method string, params []any) ([]byte, error) {
	e := encoder{nilOK: true}
	e.raw(header + "<methodCall><methodName>")
	e.text(method)
	e.raw("</methodName><params>")
	for i, p := range params {
		e.raw("<param>")
		if err := e.value(p, 0); err != nil {
			return nil, fmt.Errorf("parameter %d: %w", i+1, err)
		}
		e.raw("</param>")
	}
	e.raw("</params></methodCall>\n")
	return e.buf, nil
}

// Around the value of an answer.
const (
	responseBegin = header + "<methodResponse><params><param>"
	responseEnd   = "</param></params></methodResponse>\n"
)

func encodeFault(f *Fault) []byte {
	e := encoder{}
	e.raw(header + "<methodResponse><fault>")
	e.fault(f)
	e.raw("</fault></methodResponse>\n")
	return e.buf
}

func (e *encoder) fault(f *Fault) {
	e.raw("<value><struct><member><name>faultCode</name>")
	e.integer(f.Code)
	e.raw("</member><member><name>faultString</name><value><string>")
	e.text(f.Message)
	e.raw("</string></value></member></struct></value>")
}

func (e *encoder) raw(s string) { e.buf = append(e.buf, s...) }

// value writes v as a <value>. Depth is bounded as in decoding: deeper, and no
// peer would read it, or it holds itself.
func (e *encoder) value(v any, depth int) error {
	if depth > defaultLimits().depth {
		return errTooDeep
	}
	switch v := v.(type) {
	case nil:
		e.null()
	case bool:
		e.boolean(v)
	case int:
		e.integer(v)
	case float64:
		return e.double(v)
	case string:
		e.raw("<value><string>")
		e.text(v)
		e.raw("</string></value>")
	case time.Time:
		return e.time(v)
	case []byte:
		e.raw("<value><base64>")
		e.buf = base64.StdEncoding.AppendEncode(e.buf, v)
		e.raw("</base64></value>")
	case []any:
		return e.array(v, depth)
	case map[string]any:
		return e.structure(v, depth)
	default:
		plain, err := marshal(v, depth)
		if err != nil {
			return err
		}
		return e.value(plain, depth)
	}
	return nil
}

var errTooDeep = errors.New("values inside each other without end")

func (e *encoder) null() {
	if e.nilOK {
		e.raw("<value><nil/></value>")
	} else {
		e.raw("<value><string></string></value>")
	}
}

func (e *encoder) boolean(v bool) {
	if v {
		e.raw("<value><boolean>1</boolean></value>")
	} else {
		e.raw("<value><boolean>0</boolean></value>")
	}
}

func (e *encoder) integer(v int) {
	kind := "int"
	if v < math.MinInt32 || v > math.MaxInt32 {
		kind = "i8"
	}
	e.raw("<value><" + kind + ">")
	e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	e.raw("</" + kind + "></value>")
}

// double writes all digits: the specification knows no exponents.
func (e *encoder) double(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("XML-RPC has no word for %v", v)
	}
	e.raw("<value><double>")
	e.buf = strconv.AppendFloat(e.buf, v, 'f', -1, 64)
	e.raw("</double></value>")
	return nil
}

func (e *encoder) time(v time.Time) error {
	v = v.UTC()
	if v.Year() < 0 || v.Year() > maxYear {
		return fmt.Errorf("XML-RPC has no word for the year %d", v.Year())
	}
	e.raw("<value><dateTime.iso8601>")
	e.buf = v.AppendFormat(e.buf, timeLayout)
	e.raw("</dateTime.iso8601></value>")
	return nil
}

func (e *encoder) array(list []any, depth int) error {
	e.raw("<value><array><data>")
	for i, v := range list {
		if err := e.value(v, depth+1); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
	}
	e.raw("</data></array></value>")
	return nil
}

// structure writes the members in order of their names, so that equal values
// are equal bytes.
func (e *encoder) structure(m map[string]any, depth int) error {
	e.raw("<value><struct>")
	for _, name := range slices.Sorted(maps.Keys(m)) {
		e.raw("<member><name>")
		e.text(name)
		e.raw("</name>")
		if err := e.value(m[name], depth+1); err != nil {
			return within("."+name, err)
		}
		e.raw("</member>")
	}
	e.raw("</struct></value>")
	return nil
}

// text writes characters. What XML has no way to carry becomes U+FFFD: a
// control character in a message must not make a whole list unreadable.
func (e *encoder) text(s string) {
	done := 0
	for i := 0; i < len(s); {
		c, size := s[i], 1
		replace := ""
		switch {
		case c == '&':
			replace = "&amp;"
		case c == '<':
			replace = "&lt;"
		case c == '>':
			replace = "&gt;"
		case c == '\r':
			replace = "&#13;"
		case c < ' ' && c != '\n' && c != '\t':
			replace = "\uFFFD"
		case c >= utf8.RuneSelf:
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); !isChar(r) || size == 1 {
				replace = "\uFFFD"
			}
		}
		if replace != "" {
			e.raw(s[done:i])
			e.raw(replace)
			done = i + size
		}
		i += size
	}
	e.raw(s[done:])
}
